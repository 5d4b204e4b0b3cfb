# tests/hostile/bombs.sh: text formats that grow out of proportion, for resources.cases. Read by case.sh.
template_ids() { # N: writes a tokenizer.json whose template has a special token with N ids
    awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) printf "%s1", i ? "," : "" }' >ids
    awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) printf "%s\"[CLS]\"", i ? "," : "" }' >names
    {
        printf '{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,"pre_tokenizer":{"type":"BertPreTokenizer"},'
        printf '"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"[CLS]","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[],'
        printf '"special_tokens":{"[CLS]":{"id":"[CLS]","ids":['
        cat ids
        printf '],"tokens":['
        cat names
        printf ']}}},"decoder":null,"model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,"vocab":{"[UNK]":0,"[CLS]":1,"lamp":2}}}'
    } >tokenizer.json
    rm ids names
}
added_tokens() { # N STRIP: writes a tokenizer.json with N added tokens <x0> <x1> ...; STRIP may contain lstrip and rstrip
    local l=false r=false
    case $2 in *lstrip*) l=true ;; esac
    case $2 in *rstrip*) r=true ;; esac
    awk -v n="$1" -v l=$l -v r=$r 'BEGIN {
        printf "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":["
        for (i = 0; i < n; i++) printf "%s{\"id\":%d,\"content\":\"<x%d>\",\"single_word\":false,\"lstrip\":%s,\"rstrip\":%s,\"normalized\":false,\"special\":true}", i ? "," : "", i + 3, i, l, r
        printf "],\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"post_processor\":null,\"decoder\":null,"
        printf "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":100,\"vocab\":{\"[UNK]\":0,\"a\":1,\"end\":2"
        for (i = 0; i < n; i++) printf ",\"<x%d>\":%d", i, i + 3
        printf "}}}" }' >tokenizer.json
}
stages() { # NORMALIZER PRE_TOKENIZER: writes a tokenizer.json with these two parts, given as JSON
    printf '{"normalizer":%s,"pre_tokenizer":%s,"model":{"type":"WordPiece","unk_token":"u","vocab":{"u":0,"a":1}}}' "$1" "$2" >tokenizer.json
}
many_normalizers() { # N: writes a tokenizer.json with a Sequence of N + 1 normalisers
    {
        printf '{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":{"type":"Sequence","normalizers":['
        repeat '{"type":"Lowercase"},' "$1"
        printf '{"type":"NFD"}]},"pre_tokenizer":{"type":"BertPreTokenizer"},"post_processor":null,"decoder":null,"model":{"type":"WordPiece","unk_token":"[UNK]",'
        printf '"continuing_subword_prefix":"##","max_input_chars_per_word":100,"vocab":{"[UNK]":0,"a":1}}}'
    } >tokenizer.json
}
yaml_laughs() { # LEVELS: YAML in which each list has two aliases of the previous list
    echo 'a0: &a0 [x, x]'
    awk -v n="$1" 'BEGIN { for (i = 1; i <= n; i++) printf "a%d: &a%d [*a%d, *a%d]\n", i, i, i - 1, i - 1 }'
}
le64() { # NUMBER: prints it as eight bytes, little-endian
    local n=$1 i
    for i in 1 2 3 4 5 6 7 8; do
        printf "\\$(printf %03o $((n & 255)))"
        n=$((n >> 8))
    done
}
png_chunks() { # N: inserts N empty chunks before the last chunk of p.png
    { head -c -12 p.png; awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) printf "@@@@teSt~~~~" }' | sed 's/@@@@/\x00\x00\x00\x00/g; s/~~~~/\x5c\x5a\xa1\xd2/g'; tail -c 12 p.png; } >q.png
    mv q.png p.png
}
jpeg_comments() { # N: writes p.jpg, with N empty comments after its first two bytes
    cp "$D/pictures/grey.jpg" q.jpg
    { head -c 2 q.jpg; awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) printf "@@@@" }' | sed 's/@@@@/\xff\xfe\x00\x02/g'; tail -c +3 q.jpg; } >p.jpg
    rm q.jpg
}
pickle_pairs() { # N: writes m.pth: a list of N values that are not pairs, and an OrderedDict made from this list, listed N times
    { printf '\200\002](](' && repeat N "$1" && printf 'eq\001ccollections\nOrderedDict\nh\001\205Rq\002' && repeat $'h\002' "$1" && printf 'e.'; } >p
    mf zip m.pth m/data.pkl store p
}
pickle_buffers() { # N: writes m.pth: a module with N buffers of one name (1 MB), and a set of unsaved buffers with N times another name (1 MB)
    {
        printf '\200\002](X\000\000\020\000' && repeat k 1048575 && printf 'aq\001X\000\000\020\000' && repeat k 1048575
        printf 'bq\002cm\nNet\n)\201}(U\013_parameters}U\010_buffers}(' && repeat $'h\001N' "$1"
        printf 'uU\033_non_persistent_buffers_set](' && repeat $'h\002' "$1" && printf 'eube.'
    } >p
    mf zip m.pth m/data.pkl store p
}
many_layers() { # N FORMAT: writes a model m: N empty tensors named FORMAT (with %d: the layer), and the first tensors of each architecture
    mkdir m
    printf '{"num_attention_heads":1,"num_hidden_layers":%d,"vision_config":{"num_attention_heads":1,"num_hidden_layers":%d,"depth_coefficient":1,"num_block_repeats":[' "$1" "$1" >m/config.json
    awk -v n="$1" 'BEGIN { for (i = 1; i < n; i++) printf "1,"; printf "1],\"strides\":["; for (i = 1; i < n; i++) printf "2,"; printf "2],\"depthwise_padding\":["; for (i = 1; i < n; i++) printf "0,"; printf "0]}}" }' >>m/config.json
    awk -v n="$1" -v format="$2" 'function put(name, shape,  size, part, k, count) {
            count = split(shape, part, ",")
            size = 4
            for (k = 1; k <= count; k++) size *= part[k]
            printf "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%d,%d]}", at ? "," : "{", name, shape, at, at + size
            at += size
        }
        BEGIN {
            put("patch_embed.proj.weight", "1,3,1,1"); put("patch_embed.proj.bias", "1"); put("cls_token", "1,1,1"); put("pos_embed", "1,2,1")
            put("conv_proj.weight", "1,3,1,1"); put("conv_proj.bias", "1"); put("class_token", "1,1,1"); put("encoder.pos_embedding", "1,2,1")
            put("embeddings.patch_embeddings.projection.weight", "1,3,1,1"); put("embeddings.patch_embeddings.projection.bias", "1")
            put("embeddings.cls_token", "1,1,1"); put("embeddings.position_embeddings", "1,2,1")
            put("embeddings.word_embeddings.weight", "1,1"); put("embeddings.position_embeddings.weight", "4,1")
            put("logit_scale", "1"); put("vision_model.embeddings.patch_embedding.weight", "1,3,1,1"); put("vision_model.embeddings.class_embedding", "1")
            put("vision_model.embeddings.position_embedding.weight", "2,1"); put("vision_model.pre_layrnorm.weight", "1"); put("vision_model.pre_layrnorm.bias", "1")
            put("temperature", "1"); put("vision_model.embeddings.convolution.weight", "1,3,1,1")
            split("weight bias running_mean running_var", part, " ")
            for (k = 1; k <= 4; k++) { put("vision_model.embeddings.batchnorm." part[k], "1"); put("bn1." part[k], "1"); put("features.0.1." part[k], "1"); put("_bn0." part[k], "1") }
            put("conv1.weight", "1,3,7,7"); put("features.0.0.weight", "1,3,3,3"); put("_conv_stem.weight", "1,3,3,3"); put("_conv_head.weight", "1,1,1,1")
            for (k = 2; k <= 4; k++) put("layer" k ".0.conv1.weight", "1,1,1,1")
            for (k = 1; k <= 3; k++) put("encoder.stages." k ".layers.0.layer.0.convolution.weight", "1,1,1,1")
            for (k = 2; k <= 7; k++) put("features." k ".0.block.2.fc1.weight", "1,1,1,1")
            for (k = 0; k < n; k++) printf ",\"" format "\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[%d,%d]}", k, at, at
            printf "}"
            print at >"size"
        }' >h
    { le64 "$(wc -c <h)"; cat h; head -c "$(cat size)" /dev/zero; } >m/model.safetensors
    rm h size
}
