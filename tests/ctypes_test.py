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
    lib.sp_session_close(session)
    print("passed")


main()
