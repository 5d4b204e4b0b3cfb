# tests/hostile/bombs.sh: text formats that grow out of proportion, for resources.cases. Read by case.sh.
template_ids() { # N: the template of tokenizer.json has a special token of N ids
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
added_tokens() { # N STRIP,...: <x0> <x1> ...
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
stages() { # NORMALIZER PRE_TOKENIZER
    printf '{"normalizer":%s,"pre_tokenizer":%s,"model":{"type":"WordPiece","unk_token":"u","vocab":{"u":0,"a":1}}}' "$1" "$2" >tokenizer.json
}
many_normalizers() { # N
    {
        printf '{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":{"type":"Sequence","normalizers":['
        repeat '{"type":"Lowercase"},' "$1"
        printf '{"type":"NFD"}]},"pre_tokenizer":{"type":"BertPreTokenizer"},"post_processor":null,"decoder":null,"model":{"type":"WordPiece","unk_token":"[UNK]",'
        printf '"continuing_subword_prefix":"##","max_input_chars_per_word":100,"vocab":{"[UNK]":0,"a":1}}}'
    } >tokenizer.json
}
yaml_laughs() { # LEVELS
    echo 'a0: &a0 [x, x]'
    awk -v n="$1" 'BEGIN { for (i = 1; i <= n; i++) printf "a%d: &a%d [*a%d, *a%d]\n", i, i, i - 1, i - 1 }'
}
le64() { # NUMBER: eight bytes, little end first
    local n=$1 i
    for i in 1 2 3 4 5 6 7 8; do
        printf "\\$(printf %03o $((n & 255)))"
        n=$((n >> 8))
    done
}
png_chunks() { # N: empty chunks before the last one of p.png
    { head -c -12 p.png; awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) printf "@@@@teSt~~~~" }' | sed 's/@@@@/\x00\x00\x00\x00/g; s/~~~~/\x5c\x5a\xa1\xd2/g'; tail -c 12 p.png; } >q.png
    mv q.png p.png
}
jpeg_comments() { # N: empty comments after the first two bytes of p.jpg
    cp "$D/pictures/grey.jpg" q.jpg
    { head -c 2 q.jpg; awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) printf "@@@@" }' | sed 's/@@@@/\xff\xfe\x00\x02/g'; tail -c +3 q.jpg; } >p.jpg
    rm q.jpg
}
