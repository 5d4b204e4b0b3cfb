#!/bin/bash
# tests/fuzz/run.sh SECONDS TARGET ...: builds each target of tests/fuzz by clang with its fuzzer and sanitizers, makes
# its corpus from the goldens, and runs it for SECONDS. Prints one line per target: executions, executions per second,
# findings. The exit status is 1 if a fault was found. An input has ten seconds and the memory of every reader, 64 MB
# plus 20 bytes per byte of input (fuzz_heap). One allocation may have at most 128 MB (a library's own), the process
# 1000 MB with the memory of the sanitizers. An input that breaks a target is kept as build/fuzz/found/TARGET-*;
# `build/fuzz/fuzz/TARGET FILE` runs it again.
set -u
cd "$(dirname "$0")/../.." || exit 1
seconds=$1
shift
build=${BUILD:-build/fuzz}
make=${MAKE:-make}
golden=tests/golden
if ! command -v clang >/dev/null; then
    echo "fuzz: skipped: no clang here"
    exit 0
fi
programs=()
for target in "$@"; do programs+=("$build/fuzz/$target"); done
"$make" -s -j"$(nproc)" CC=clang SANITIZE=fuzzer-no-link,address,undefined BUILD=$build $build/tests/draw_models "${programs[@]}" || exit 1
drawn=$build/drawn
rm -rf "$drawn"
"$build/tests/draw_models" "$drawn" || exit 1

seed() { # NAME: standard input becomes a file of the corpus
    cat >"$corpus/seed-$1"
}
times() { # N TEXT: the text N times
    local i
    for ((i = 0; i < $1; i++)); do printf '%s' "$2"; done
}
legacy() { # a legacy torch stream up to its object: magic number, version, system
    printf '\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}(U\x0dlittle_endian\x88u.'
}
torch_tensor() { # of storage 0
    printf 'ctorch._utils\n_rebuild_tensor_v2\n((U\7storagectorch\nFloatStorage\nU\0010U\3cpuK\4tQK\0(K\4t(K\1t\x89NtR'
}
storage() { # the list of storages, and storage 0
    printf '](U\0010e.\4\0\0\0\0\0\0\0'
    printf '0123456789abcdef'
}
tokenizer_with() { # ADDED_TOKENS POST_PROCESSOR
    printf '{"pre_tokenizer":{"type":"BertPreTokenizer"},"added_tokens":[%s],"post_processor":%s,' "$1" "$2"
    printf '"model":{"type":"WordPiece","unk_token":"u","vocab":{"u":0,"a":1}}}'
}
with_byte() { # OCTAL FILE: the byte, then the file
    printf '%b' "\\0$1"
    cat "$2"
}
record() { # NUMBER FILE: a file of a model in memory: its number, its length in 3 bytes, its bytes
    local n
    n=$(stat -c %s "$2")
    printf '%b' "$(printf '\\0%o' "$1" $((n % 256)) $((n / 256 % 256)) $((n / 65536)))"
    cat "$2"
}
seeds() { # TARGET: its corpus
    case $1 in
    json)
        cp $drawn/encoders/bert/*.json $golden/tokenizer/odd.json "$corpus"
        (printf '[' && times 20000 '0,' && printf '0]') | seed small-values
        (printf '[' && times 5000 '{"":0},' && printf '0]') | seed small-objects
        ;;
    weights)
        cp $golden/torch/*.pt $golden/layers/module.pt "$corpus"
        printf '\x4c\0\0\0\0\0\0\0{"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"__metadata__":{}}  01234567' | seed safetensors
        printf '{"weight_map":{"a":"x.safetensors"}}' | seed index
        (printf '\x53\x9c\0\0\0\0\0\0{"__metadata__":[' && times 20000 '0,' && printf '0]}') | seed small-values
        # one tensor many times under a long key; dictionaries of the same dictionary, nested
        (legacy && printf '}' && torch_tensor && printf 'q\0000(X\0\x80\0\0' && times 32768 k && printf '](' &&
            for ((j = 0; j < 4000; j++)); do printf 'h\0'; done && printf 'eu.' && storage) | seed long-key
        (legacy && torch_tensor && printf 'q\0000' && for j in 1 2 3 4 5 6 7 8 9; do
            printf '}(' && for key in a b c d e f g h i j; do printf 'U\1%s' $key && printf "h\\x0$((j - 1))"; done
            printf "uq\\x0${j}0" # memo j, and off the stack
        done && printf 'h\x09.' && storage) | seed aliases
        ;;
    npy)
        printf "\x93NUMPY\1\0\x46\0{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }          \n01234567" | seed v1
        printf "\x93NUMPY\1\0\x46\0{'descr': '<f4', 'fortran_order': True, 'shape': (2, 1), }           \n01234567" | seed fortran
        printf "\x93NUMPY\2\0\x46\0\0\0{'descr': '|i1', 'fortran_order': False, 'shape': (8,), }            \n01234567" | seed v2
        ;;
    neighbours)
        printf "\x93NUMPY\1\0\x46\0{'descr': '|i1', 'fortran_order': False, 'shape': (6, 2), }          \n\1\2\0\2\1\4\2\5\3\2\2\3" | seed near
        printf "\x93NUMPY\1\0\x46\0{'descr': '<i2', 'fortran_order': False, 'shape': (6, 1), }          \n\1\0\377\377\1\0\2\0\3\0\2\0" | seed fewer
        printf "\x93NUMPY\1\0\x46\0{'descr': '<i8', 'fortran_order': True, 'shape': (6, 1), }           \n%048d" 0 | seed far
        ;;
    tokenizer) cp $golden/tokenizer/{bert,odd,plain,mpnet,pairs,uncut,gpt2,clip,qwen,mixed,fused,bytes,classes/regex/empty,classes/regex/behind}.json "$corpus" && printf '[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\n' | seed vocab
        tokenizer_with '' "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}},{\"Sequence\":{\"id\":\"A\"}}],\"special_tokens\":{\"x\":{\"ids\":[$(times 15000 '1,')1]}}}" | seed template
        tokenizer_with '' 'null,"truncation":{"direction":"Left","max_length":4,"strategy":"LongestFirst","stride":0},"padding":{"strategy":{"Fixed":9},"direction":"Left","pad_to_multiple_of":4,"pad_id":0,"pad_type_id":0}' | seed limits
        tokenizer_with "$(for ((j = 1; j < 200; j++)); do printf '{"content":"' && times $j a && printf 'b"},'; done){\"content\":\" \",\"lstrip\":true,\"rstrip\":true}" null | seed added
        ;;
    sentencepiece)
        local file
        for file in $golden/tokenizer/sentencepiece/*.model; do with_byte 0 "$file" | seed "$(basename "$file")"; done
        printf '\1\10\0\0\0\0\0\0\0\0\1\0\0Z\0' | seed charsmap
        ;;
    classes)
        local i=0 file folder=$golden/tokenizer/classes
        for file in xlmr/sentencepiece.bpe.model t5/spiece.model albert/spiece.model llama/tokenizer.model llama/tokenizer.model qwen/qwen.tiktoken \
            clip_gz/bpe_simple_vocab_16e6.txt.gz clip_list/bpe_simple_vocab_16e6.txt; do
            with_byte $i $folder/$file | seed "class-$i"
            [ $i = 6 ] || i=$((i + 1))
        done
        ;;
    text)
        printf 'The caf\xc3\xa9, [MASK] e\xcc\x81 \xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x98\x80 12.5' | seed words
        printf 'a\0b\xff\xc3\xed\xa0\x80\xef\xbb\xbf' | seed broken
        (printf '[MASK]' && times 2000 ' ' && printf '[MASK]') | seed blanks
        (printf 'a' && times 500 $'\u0301\u0323') | seed marks
        times 3000 a | seed long-word # longer ones are in tests/resources_test.c: here they would leave time for three inputs a second
        ;;
    ratings)
        printf '\0u1\ti1\t5.0\t10\nu2\ti2\t3\t20\n' | seed tsv
        printf '\1timestamp,item_id,user_id,rating\r\n10,i1,"u1",5\r\n' | seed csv
        printf '\202userID\titemID\tx_label\n0\t1\t0\n0\t2\t1\n0\t3\t2\n' | seed inter
        printf '\3user_id:token\titem_id:token\trating:float\nu1\ti1\t5\n' | seed recbole
        printf '\4\0 4 2\n1\n3  7\n' | seed lightgcn
        printf '\0user,item,note\n"a ""b""","x,y","one\ntwo"\nb,y,2005-09-06T12:30:05Z\n' | seed quoted
        printf '\0001::10::4::100\n1::11::3::101\n' | seed colons
        printf '\0u;i;a, b\n' | seed separators
        printf '\0001 10 4 100\n1 11 3 101\n' | seed blanks
        printf '\100reader,novel\nann,dune\nbob,emma\n' | seed names
        { printf '\0' && printf 'a,x,1\nb,y,2\n' | gzip -n; } | seed gzip
        ;;
    recommendations)
        printf '0\t1\t.5\nu\t"a ""b"""\t.7\n' | seed tsv
        printf 'item,user,score\n1,0,.5\n' | seed header
        printf 'id\ttop_0\ttop_1\n0\t1\t2\n' | seed lists
        ;;
    by_user)
        printf 'user\tRecall@20\tnDCG@20\nu1\t0\t0.25\n"u ""2"""\t1\t1e-3\n' | seed figures
        (printf 'user' && times 3000 '\tx' && printf '\nu\n') | seed names
        printf 'user\tHR@20\r\nu1\tnan\r\n' | seed nan
        ;;
    prepare)
        printf '\0{"reviewerID": "u", "asin": "a", "overall": 4.0, "unixReviewTime": 3}\n{"user_id": "v", "parent_asin": "b", "rating": "3", "timestamp": 5}\n' | seed reviews
        printf '\14{"reviewerID": "u", "asin": "a", "overall": 4}\n{"reviewerID": 1}\n' | seed broken
        printf "\\3{u'asin': 'a', 'title': \"it's\", 'description': '\\\\xe9\\\\u4f60', 'imUrl': u'x', 'categories': [['c', 'd'],], 'p': (1L, None)}\\n" | seed python
        printf '\1{"asin": "b", "description": ["x", "nan"], "images": [{"large": "l"}], "brand": "B"}\n' | seed lists
        printf '\1011|Toy|x||u|0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0\n' | seed u-item
        printf '\1011::A\xe9::Drama|War\n' | seed dat
        printf '\1item,title,overview,poster\na,A,x,y\nb,"B ""q""",n/a,\n' | seed items
        printf '\4u,a,4,10\nu,a,4,10\nv,b,3,20\n' | seed csv
        { printf '\0' && printf '{"reviewerID": "u", "asin": "a", "overall": 4.0}\n' | gzip -n; } | seed gzip
        ;;
    table) printf '\xef\xbb\xbfasin\tdescription\r\nB01\t"a ""red""\nbag"\tx\r\n\nB02\tlamp\n' | seed table ;;
    yaml)
        printf 'dataset_path: d\ngpu list: -1\nvisual:\n  items:\n    input_path: i\n    output_path: o\n    model:\n      - &m {model_name: color, backend: [torch], output_layers: [avgpool], preprocessing: zscore, mean: [0, 1, 2], std: [1, 1, 1], reshape: [2, 3]}\n' | seed visual
        printf 'dataset_path: d\ntextual:\n  items: {input_path: t.tsv, output_path: o, item_column: a, text_column: b, model: [{model_name: words, backend: transformers, clear_text: True, batch_size: 3}]}\n' | seed textual
        printf 'a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n' | seed anchors
        (printf 'a: &a x\nb: [' && times 12000 '*a, ' && printf 'x]\n') | seed aliases
        (for ((j = 0; j < 1100; j++)); do printf 'k%d: x\n' $j; done) | seed keys
        (for ((j = 0; j < 200; j++)); do printf '%%TAG !a%d! x\n' $j; done && printf -- '---\na: b\n') | seed tags
        ;;
    elliot) # its files are d.tsv, f.f (features) and h (folds)
        local file
        for file in $golden/elliot/*.yml; do
            sed -E 's,: \.\./data/[^ ]*\.tsv,: d.tsv,; s,: \.\./data/[^ ]*_splits/,: s.s,; s,(_features|root_folder): \.\./.*,\1: f.f,; s,: \.\.?/.*,: x,' "$file" | seed "$(basename "$file")"
        done
        printf 'experiment: {dataset: h, top_k: 2, data_config: {strategy: hierarchy, root_folder: h}, evaluation: {simple_metrics: [Recall]}, models: {MostPop: }}\n' | seed hierarchy
        ;;
    benchmark)
        cp share/benchmarks/*.yml "$corpus"
        printf 'benchmark: {data: [{name: a, interactions: i, split: {seed: 1}, features: {r: {visual: v}}}], settings: [{name: r, features: {textual: "{0}"}}], models: {BM3: {meta: {hyper_opt_alg: tpe, hyper_max_evals: 3}, lr: [loguniform, -9, -4]}}, knock: [{modality: both, mode: one}]}\n' | seed own
        ;;
    mmrec)
        cp $golden/mmrec/src/configs/{overall,mg,model/*}.yaml "$corpus"
        printf 'mg: True\nselect: test\nhyper_parameters: [seed, weight_size]\nweight_size: [64, 64]\nmess_dropout: [0.1, 0.1]\nlearning_rate_scheduler: [1.0, 7]\n' | seed own
        ;;
    processor)
        printf '\1\105{"crop_size": 24, "do_center_crop": true, "image_mean": [0.5, 0.4, 0.4], "image_std": 0.3, "resample": 3, "size": 24}' | seed clip
        printf '\2\067{"image_processor_type": "EfficientNetImageProcessor", "size": {"height": 40, "width": 30}, "crop_size": [20, 50], "do_center_crop": true, "rescale_factor": 0.0078, "rescale_offset": true, "include_top": false, "resample": 2}' | seed align
        printf '\0\377{"size": {"shortest_edge": 20}, "crop_pct": 0.875, "resample": 1, "do_rescale": false}' | seed convnext
        printf '\3\021{"do_resize": false, "do_center_crop": true, "crop_size": 30, "do_normalize": false}' | seed own
        ;;
    image) cp $golden/images/*.{png,jpg,webp} "$corpus" ;;
    model)
        local i=0 file
        for file in config.json modules.json 1_Pooling/config.json sentence_bert_config.json tokenizer_config.json vocab.txt; do
            with_byte $i $drawn/encoders/bert/$file | seed "bert-$i"
            i=$((i + 1))
        done
        with_byte 100 $drawn/encoders/resnet_basic/config.json | seed resnet-0
        with_byte 106 $drawn/encoders/resnet_basic/preprocessor_config.json | seed resnet-6
        with_byte 7 $golden/tokenizer/bert.json | seed bert-7
        ;;
    memory)
        local i names=(config.json model.safetensors preprocessor_config.json tokenizer.json tokenizer_config.json vocab.txt modules.json 1_Pooling/config.json sentence_bert_config.json)
        for i in "${!names[@]}"; do
            [ ! -e "$drawn/encoders/bert/${names[i]}" ] || (printf '\60' && record "$i" "$drawn/encoders/bert/${names[i]}") | seed "bert-$i"
        done
        local part parts="6 modules.json 7 1_Pooling/config.json 8 sentence_bert_config.json 12 config_sentence_transformers.json 13 2_Dense/config.json 14 2_Dense/model.safetensors"
        for i in words without_prompt; do
            (printf '\60' && set -- $parts && while [ $# -gt 0 ]; do
                part=$drawn/sentence/$i/$2
                [ ! -e "$part" ] || record "$1" "$part"
                shift 2
            done) | seed "sentence-$i"
        done
        (printf '\15' && record 1 $drawn/encoders/vit/model.safetensors && record 0 $drawn/encoders/vit/config.json) | seed vit
        (printf '\2' && record 2 $drawn/encoders/resnet_basic/preprocessor_config.json) | seed resnet
        (printf '\63' && record 3 $golden/tokenizer/mpnet.json) | seed mpnet
        (printf '\0\201\0\0\0\012\047\0\0{"weight_map":{"a":"model.safetensors"}}') | seed index # no weights: number 1 with 128
        ;;
    ledger)
        local empty
        empty=$(printf 'data\tsetting\tfold\tmodel\tpoint\tseed\tnumber\tkey\tstate\tmessage\tsettings\tbest_epoch\tepochs\tvalid\ttest\thistory')
        printf '\0%s\nd\ts\t\tm\tlr=0.1\t1\t0\t%032d\tdone\t\t{"lr":"0.1"}\t2\t2\t{"Recall@5":0.1}\t{}\tepoch\\tloss\\n2\\t0.5\\n\n' "$empty" 7 | seed done
        printf '\0%s\nd\t\t\tm\t\t1\t0\t%032d\tfailed\tno memory\t{}\t0\t0\t{}\t{}\t\n' "$empty" 7 | seed failed
        printf '\1\0\20\1\0\0\0' | seed sqlite
        ;;
    metrics_files)
        local i
        for i in 0 1 4 5 7; do printf '%b' "\\0$i" 'i0\t0\ni1\t1\ni4\t1\n' | seed "items-$i"; done
        for i in 2 3 6 10 11 12; do printf '%b' "\\0$i" 'u0\t0\nu1\t1\nu9\t1\n' | seed "users-$i"; done
        printf '%b' '\013' 'i0\ta\tb\ni3\tb\n' | seed features
        printf '%b' '\014' '(u0,)\ti0\ti3\nu1\ti4\n' | seed negatives
        ;;
    trained)
        local i
        for i in 0 1 2 3 4 5 6 7 10 11 12 13 14 15 16 17 20; do
            printf '%b{"model":"ItemKNN","train":"tests/golden/encoders/texts.txt","protocol":"elliot","format":"tsv","seed":1,"settings":{"neighbors":"5"},"features":[]}' "\\0$i" | seed $i
            printf '%b1\n2\n' "\\0$i" | seed ids-$i
        done
        ;;
    esac
}

fuzz() { # TARGET: its line, and what it found, on standard output
    local target=$1 result runs rate
    corpus=$build/corpus/$target
    mkdir -p "$corpus"
    seeds "$target"
    options=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=1000 -malloc_limit_mb=128 -max_len=65536 -artifact_prefix="$build/found/$target-" -print_final_stats=1)
    [ -e tests/fuzz/"$target".dict ] && options+=(-dict=tests/fuzz/"$target".dict)
    # An arena of 64-byte vectors is incompatible with fake stacks. Leaks are checked if the leak sanitizer can run.
    ASAN_OPTIONS=detect_stack_use_after_return=0:allocator_may_return_null=1:quarantine_size_mb=64:detect_leaks="${LEAKS:-1}" UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
        $build/fuzz/"$target" "${options[@]}" "$corpus" >$build/"$target".log 2>&1
    result=$?
    runs=$(sed -nE 's/^stat::number_of_executed_units: *//p' $build/"$target".log)
    rate=$(sed -nE 's/^stat::average_exec_per_sec: *//p' $build/"$target".log)
    printf 'fuzz: %-10s %9s executions, %6s a second, coverage %s: %s\n' "$target" "${runs:-?}" "${rate:-?}" \
        "$(sed -nE 's/.* cov: ([0-9]+).*/\1/p' $build/"$target".log | tail -n 1)" "$([ $result = 0 ] && echo clean || echo FOUND SOMETHING)"
    [ $result = 0 ] || grep -vE '^#[0-9]+' $build/"$target".log | tail -n 40 | sed 's/^/    /'
}

mkdir -p $build/found
for target in "$@"; do # as many at once as there are processors
    fuzz "$target" >$build/"$target".result &
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; done
done
wait
status=0
for target in "$@"; do
    cat $build/"$target".result
    head -n 1 $build/"$target".result | grep -q ': clean$' || status=1
done
exit $status
