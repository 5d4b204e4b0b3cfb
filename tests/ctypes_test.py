"""tests/ctypes_test.py LIBRARY TEXT_MODEL IMAGE_MODEL IMAGE: calls the library through Python's ctypes, with structs
declared here from sapor.h alone. ctypes_test.sh runs it. The last line is "passed"."""
import ctypes as c
import struct
import sys

PROGRESS = c.CFUNCTYPE(c.c_bool, c.c_void_p, c.c_size_t, c.c_size_t)


class Error(c.Structure):
    _fields_ = [("code", c.c_int), ("message", c.c_char * 1024)]


class EncoderOptions(c.Structure):
    _fields_ = [("size", c.c_size_t), ("dtype", c.c_char_p), ("device", c.c_char_p), ("arch", c.c_char_p),
                ("modalities", c.c_uint), ("outputs", c.POINTER(c.c_char_p)), ("output_count", c.c_size_t),
                ("pool", c.c_int), ("normalize", c.c_int), ("max_length", c.c_size_t), ("resize", c.c_char_p)]


class Output(c.Structure):
    _fields_ = [("size", c.c_size_t), ("name", c.c_char_p), ("modality", c.c_uint), ("rows", c.c_int),
                ("width", c.c_size_t), ("pool", c.c_int), ("normalized", c.c_bool), ("usual", c.c_bool),
                ("loaded", c.c_bool)]


class OutputOptions(c.Structure):
    _fields_ = [("name", c.c_char_p), ("pool", c.c_int), ("normalize", c.c_int)]


class CallOptions(c.Structure):
    _fields_ = [("size", c.c_size_t), ("outputs", c.POINTER(OutputOptions)), ("output_count", c.c_size_t),
                ("max_length", c.c_size_t), ("progress", PROGRESS), ("user", c.c_void_p)]


class Text(c.Structure):
    _fields_ = [("text", c.c_char_p), ("bytes", c.c_size_t)]


class TextInfo(c.Structure):
    _fields_ = [("tokens", c.c_size_t), ("truncated", c.c_bool)]


class Image(c.Structure):
    _fields_ = [("path", c.c_char_p), ("data", c.c_char_p), ("bytes", c.c_size_t), ("width", c.c_size_t),
                ("height", c.c_size_t)]


class File(c.Structure):
    _fields_ = [("name", c.c_char_p), ("data", c.c_char_p), ("bytes", c.c_size_t)]


class Interactions(c.Structure):
    _fields_ = [("count", c.c_size_t), ("user", c.POINTER(c.c_int32)), ("item", c.POINTER(c.c_int32)),
                ("rating", c.POINTER(c.c_float)), ("time", c.POINTER(c.c_int64))]


class Data(c.Structure):
    _fields_ = [("size", c.c_size_t), ("users", c.c_size_t), ("items", c.c_size_t), ("train", c.POINTER(Interactions)),
                ("valid", c.POINTER(Interactions)), ("test", c.POINTER(Interactions)), ("features", c.c_void_p),
                ("feature_count", c.c_size_t), ("protocol", c.c_char_p)]


class TrainEvent(c.Structure):
    _fields_ = [("size", c.c_size_t), ("epoch", c.c_size_t), ("batch", c.c_size_t), ("batches", c.c_size_t),
                ("evaluated", c.c_bool), ("loss", c.c_double), ("names", c.POINTER(c.c_char_p)),
                ("valid", c.POINTER(c.c_double)), ("test", c.POINTER(c.c_double)), ("figure_count", c.c_size_t),
                ("made", c.c_size_t), ("parts", c.c_size_t), ("note", c.c_char_p)]


TRAINING = c.CFUNCTYPE(c.c_bool, c.c_void_p, c.POINTER(TrainEvent))


class TrainOptions(c.Structure):
    _fields_ = [("size", c.c_size_t), ("model", c.c_char_p), ("settings", c.POINTER(c.c_char_p)),
                ("setting_count", c.c_size_t), ("seed", c.c_uint64), ("out", c.c_char_p), ("progress", TRAINING),
                ("user", c.c_void_p)]


class Liked(c.Structure):
    _fields_ = [("items", c.POINTER(c.c_int32)), ("ratings", c.POINTER(c.c_float)), ("count", c.c_size_t)]


def recommenders(lib, session):
    """Trains on lists, asks for a user of training and for a new one."""
    for name in ("sp_recommend", "sp_recommend_new", "sp_scores"):
        getattr(lib, name).restype = c.c_bool
    lib.sp_train.restype = c.c_void_p
    e = Error()
    pairs = [(u, i) for u in range(12) for i in range(8) if (u * 3 + i * i) % 5 < 2]
    column = c.c_int32 * len(pairs)
    train = Interactions(len(pairs), column(*(u for u, _ in pairs)), column(*(i for _, i in pairs)))
    data = Data(size=c.sizeof(Data), users=12, items=8, train=c.pointer(train), test=c.pointer(train))
    seen = []

    def note(_, event):
        event = event.contents
        seen.append((event.epoch, event.batch, event.batches, event.test[0] if event.evaluated else None))
        assert event.size == c.sizeof(TrainEvent) and (not event.evaluated or event.names[0] == b"Recall@3")
        return True

    settings = (c.c_char_p * 6)(b"epochs=2", b"factors=4", b"metrics=Recall", b"cutoffs=3", b"validation_rate=1",
                                b"validation_metric=Recall@3")
    options = TrainOptions(size=c.sizeof(TrainOptions), model=b"BPRMF", settings=settings, setting_count=6, seed=1,
                           progress=TRAINING(note))
    model = c.c_void_p(lib.sp_train(session, c.byref(data), c.byref(options), None, c.byref(e)))
    assert model, e.message
    assert len([s for s in seen if s[3] is not None]) == 2 and seen[-1][0] == 2, seen
    users, items, scores = (c.c_int32 * 2)(4, 9), (c.c_int32 * 6)(), (c.c_float * 6)()
    assert lib.sp_recommend(model, session, users, c.c_size_t(2), c.c_size_t(3), None, items, scores,
                            c.byref(e)), e.message
    assert not any((4, i) in pairs for i in items[:3]) and scores[0] >= scores[1] >= scores[2]
    again = (c.c_float * 1)()
    assert lib.sp_scores(model, session, users, items, c.c_size_t(1), again, c.byref(e)) and again[0] == scores[0]
    likes = (c.c_int32 * 2)(1, 2)
    fresh = Liked(likes, None, 2)
    assert lib.sp_recommend_new(model, session, c.byref(fresh), c.c_size_t(1), c.c_size_t(3), None, items, scores,
                                c.byref(e)), e.message
    assert items[0] not in (1, 2)
    users[1] = 12
    assert not lib.sp_recommend(model, session, users, c.c_size_t(2), c.c_size_t(3), None, items, None, c.byref(e))
    assert e.code == USAGE and b"users[1] is 12" in e.message, e.message
    lib.sp_recommender_close(model)


USAGE, CANCELLED, TEXTS, IMAGES, POOL_NONE = 4, 7, 2, 1, 4


def main():
    path, text_model, image_model, image = sys.argv[1:5]
    lib = c.CDLL(path)
    for name in ("sp_version", "sp_status_name"):
        getattr(lib, name).restype = c.c_char_p
    for name in ("sp_session_open", "sp_encoder_open", "sp_encoder_open_with", "sp_encoder_open_memory"):
        getattr(lib, name).restype = c.c_void_p
    for name in ("sp_encoder_features", "sp_encoder_output_count"):
        getattr(lib, name).restype = c.c_size_t
    for name in ("sp_encoder_reads_texts", "sp_encoder_output", "sp_row_sizes", "sp_text_lengths",
                 "sp_encode_text_batch", "sp_encode_image_batch", "sp_encode_texts"):
        getattr(lib, name).restype = c.c_bool
    e = Error()

    major, minor, patch = (int(part) for part in lib.sp_version().decode().split("."))
    assert lib.sp_version_number() == 10000 * major + 100 * minor + patch
    assert lib.sp_status_name(USAGE) == b"SP_USAGE" and lib.sp_status_name(CANCELLED) == b"SP_CANCELLED"

    session = c.c_void_p(lib.sp_session_open(2, None, c.byref(e)))
    options = EncoderOptions(size=c.sizeof(EncoderOptions), dtype=b"f32")
    encoder = c.c_void_p(lib.sp_encoder_open_with(text_model.encode(), c.byref(options), None, c.byref(e)))
    assert encoder and lib.sp_encoder_reads_texts(encoder), e.message
    width = lib.sp_encoder_features(encoder)

    names = []
    for i in range(lib.sp_encoder_output_count(encoder)):
        out = Output(size=c.sizeof(Output))
        assert lib.sp_encoder_output(encoder, c.c_size_t(i), c.byref(out), c.byref(e)), e.message
        assert out.modality == TEXTS and out.width > 0 and out.loaded
        names.append(out.name.decode())
    assert names[0] == "last_hidden_state" and "hidden_states.0" in names, names

    sentences = ["ein roter Lederbeutel", "a brass lamp", "größer"]
    encoded = [s.encode() for s in sentences]
    texts = (Text * 3)(*(Text(s, len(s)) for s in encoded))
    info, status = (TextInfo * 3)(), (Error * 3)()
    assert lib.sp_text_lengths(encoder, session, texts, c.c_size_t(3), None, info, status, c.byref(e)), e.message
    assert all(i.tokens >= 3 and not i.truncated for i in info)
    total = sum(i.tokens for i in info)

    asked = (OutputOptions * 2)(OutputOptions(None, 0, 0), OutputOptions(b"last_hidden_state", POOL_NONE, 0))
    seen = []
    progress = PROGRESS(lambda user, done, n: seen.append((done, n)) or True)
    call = CallOptions(size=c.sizeof(CallOptions), outputs=asked, output_count=2, progress=progress)
    sizes = (c.c_size_t * 2)()
    assert lib.sp_row_sizes(encoder, TEXTS, c.byref(call), sizes, c.byref(e)) and list(sizes) == [width, width]
    rows, tokens = (c.c_float * (3 * width))(), (c.c_float * (total * width))()
    out = (c.POINTER(c.c_float) * 2)(c.cast(rows, c.POINTER(c.c_float)), c.cast(tokens, c.POINTER(c.c_float)))
    assert lib.sp_encode_text_batch(encoder, session, texts, c.c_size_t(3), c.byref(call), out, info, status,
                                    c.byref(e)), e.message
    assert seen and seen[-1] == (3, 3) and any(tokens)
    plain = (c.c_float * (3 * width))()
    assert lib.sp_encode_texts(encoder, session, (c.c_char_p * 3)(*encoded), c.c_size_t(3), plain, c.byref(e))
    assert bytes(plain) == bytes(rows)

    stop = PROGRESS(lambda user, done, n: False)
    call = CallOptions(size=c.sizeof(CallOptions), progress=stop)
    assert not lib.sp_encode_text_batch(encoder, session, texts, c.c_size_t(3), c.byref(call), out, None, None,
                                        c.byref(e))
    assert e.code == CANCELLED, e.message
    call = CallOptions(size=1)
    assert not lib.sp_row_sizes(encoder, TEXTS, c.byref(call), sizes, c.byref(e)) and e.code == USAGE
    lib.sp_encoder_close(encoder)

    folder_files = ["config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json", "modules.json",
                    "1_Pooling/config.json", "sentence_bert_config.json"]
    data = [open(f"{text_model}/{name}", "rb").read() for name in folder_files]
    files = (File * len(data))(*(File(n.encode(), d, len(d)) for n, d in zip(folder_files, data)))
    encoder = c.c_void_p(lib.sp_encoder_open_memory(files, c.c_size_t(len(data)), None, None, c.byref(e)))
    assert encoder, e.message
    assert lib.sp_encode_texts(encoder, session, (c.c_char_p * 3)(*encoded), c.c_size_t(3), rows, c.byref(e))
    assert bytes(plain) == bytes(rows)
    lib.sp_encoder_close(encoder)

    encoder = c.c_void_p(lib.sp_encoder_open(image_model.encode(), None, c.byref(e)))
    assert encoder, e.message
    width = lib.sp_encoder_features(encoder)
    content = open(image, "rb").read()
    images = (Image * 3)(Image(path=image.encode()), Image(data=content, bytes=len(content)),
                         Image(data=content, bytes=20))
    rows, status = (c.c_float * (3 * width))(), (Error * 3)()
    out = (c.POINTER(c.c_float) * 1)(c.cast(rows, c.POINTER(c.c_float)))
    assert lib.sp_encode_image_batch(encoder, session, images, c.c_size_t(3), None, out, status, c.byref(e)), e.message
    assert status[0].code == 0 and status[1].code == 0 and status[2].code != 0 and b"\n" not in status[2].message
    row = struct.calcsize("f") * width
    assert bytes(rows)[:row] == bytes(rows)[row:2 * row] and not any(bytes(rows)[2 * row:])
    lib.sp_encoder_close(encoder)
    recommenders(lib, session)
    lib.sp_session_close(session)
    print("passed")


main()
