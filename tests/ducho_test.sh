#!/bin/bash
# tests/ducho_test.sh: a Ducho configuration with all kinds of entries: its folders and names, pairs by id, fusion,
# several models and layers in one pass, shards, resuming, one file for all items, damaged images. Speaks TAP; $BUILD is
# the folder of the build. ITEMS: the number of items in the last part (default 300; `make check-all`: 10,000).
test=ducho
. "$(dirname "$0")/shell.sh"
golden=$root/tests/golden
draw_models
models=$drawn/encoders
if "$sapor" info | grep -q '^ *libyaml *not in'; then
    skip 'extract' 'this build has no libyaml'
    echo "1..$number"
    exit
fi
extract() { # NAME OPTION...: of c.yml
    local name=$1
    shift
    right "$name" extract c.yml "$@"
}
tree() { # FOLDER: names of its features
    (cd "$1" && find . -name '*.npy' | sed 's,^\./,,' | sort)
}
features() { # FOLDER FOLDER: features and ids are the same bytes
    diff -r -x .sapor -x 'missing_*' "$1" "$2"
}
shape() { # FILE SHAPE
    head -c 128 "$1" | grep -aq "'shape': ($2)"
}

mkdir pictures
cp "$golden/images/RGB.png" pictures/a.1.png
cp "$golden/images/grey.jpg" pictures/b.jpg
cp "$golden/images/L.png" pictures/c.png
printf 'id\ttext\nc\tthe third\na.1\ta red bag\nb\ttwo lamps of brass\n' >t.tsv
printf 'user\titem\treview\n1\tx\tgood bag\n2\tit'"'"'s\tbad lamp\n1\tit'"'"'s\tred hat\n1\tx\tagain\n' >r.tsv
cat >c.yml <<END
dataset_path: .
gpu list: 0
visual:
  items:
    input_path: pictures
    output_path: o/visual
    model:
      - {model_name: $models/resnet_basic.safetensors, backend: torch, output_layers: [avgpool, layer4], reshape: [64, 64], preprocessing: zscore, batch_size: 2}
      - {model_name: $models/vit, backend: transformers, output_layers: last_hidden_state}
  interactions: {input_path: pictures, output_path: o/visual2, model: [{model_name: colour-statistics, backend: torch, output_layers: all}]}
textual:
  items:
    {input_path: t.tsv, item_column: id, text_column: text, output_path: o/textual,
     model: [{model_name: $models/bert, backend: sentence_transformers, output_layers: 1, clear_text: True}]}
  interactions:
    {input_path: r.tsv, interaction_columns: [user, item], text_column: review, output_path: o/textual,
     model: [{model_name: $models/bert, backend: transformers, output_layers: [pooler_output, last_hidden_state]}]}
visual_textual:
  items:
    input_path: {visual: pictures, textual: t.tsv}
    output_path: {visual: o/visual, textual: o/textual}
    item_column: id
    text_column: text
    model:
      - {model_name: $models/clip, backend: transformers, output_layers: 1, batch_size: 2}
      - {model_name: $models/clip, backend: transformers, output_layers: 1, fusion: sum}
END
cat >wanted.txt <<END
textual/sentence_transformers/bert/1/a.1.npy
textual/sentence_transformers/bert/1/b.npy
textual/sentence_transformers/bert/1/c.npy
textual/transformers/bert/last_hidden_state/(1, "it's").npy
textual/transformers/bert/last_hidden_state/(1, 'x').npy
textual/transformers/bert/last_hidden_state/(2, "it's").npy
textual/transformers/bert/pooler_output/(1, "it's").npy
textual/transformers/bert/pooler_output/(1, 'x').npy
textual/transformers/bert/pooler_output/(2, "it's").npy
textual/transformers/clip/1/a.1.npy
textual/transformers/clip/1/b.npy
textual/transformers/clip/1/c.npy
visual/torch/resnet_basic/avgpool/a.1.npy
visual/torch/resnet_basic/avgpool/b.npy
visual/torch/resnet_basic/avgpool/c.npy
visual/torch/resnet_basic/layer4/a.1.npy
visual/torch/resnet_basic/layer4/b.npy
visual/torch/resnet_basic/layer4/c.npy
visual/transformers/clip/1/a.1.npy
visual/transformers/clip/1/b.npy
visual/transformers/clip/1/c.npy
visual/transformers/vit/last_hidden_state/a.1.npy
visual/transformers/vit/last_hidden_state/b.npy
visual/transformers/vit/last_hidden_state/c.npy
visual2/torch/colour-statistics/all/a.1.npy
visual2/torch/colour-statistics/all/b.npy
visual2/torch/colour-statistics/all/c.npy
visual_textual_sum/transformers/clip/1/a.1.npy
visual_textual_sum/transformers/clip/1/b.npy
visual_textual_sum/transformers/clip/1/c.npy
END
extract 'every kind of extraction'
tree o | diff wanted.txt - >diff.txt
bad=$?
sed 's/^/# /' diff.txt
ok $bad 'folders and names are those of Ducho'
pattern='^20[0-9-]* [0-9:]* | SUCCESS  | Extraction with layer: .*resnet_basic.safetensors.layer4 has been completed in [0-9]*\.[0-9][0-9] seconds!$'
[ "$(grep -c "$pattern" err)" = 1 ] && grep -q '| INFO     | Extraction model: .*/vit$' err
ok $? 'the log says how long a layer took'
shape o/visual/torch/resnet_basic/avgpool/b.npy '1, [0-9]*' && shape o/visual/torch/resnet_basic/layer4/b.npy '1, [0-9]*, 2, 2' &&
    shape o/visual/transformers/vit/last_hidden_state/b.npy '1, [0-9]*, [0-9]*'
ok $? 'vectors, maps and patches keep their shapes'

# ---- each entry alone gives the same files ------------------------------------------------------------------------------------------
printf 'the third\na red bag\ntwo lamps of brass\n' >texts.txt
row() { # N D: bytes of row N of x.npy
    tail -c +129 x.npy | tail -c +$(($1 * $2 * 4 + 1)) | head -c $(($2 * 4))
}
right 'encode the texts' encode "$models/clip" texts.txt -o x.npy --layer text_embeds
D=6
for i in '0 c' '1 a.1' '2 b'; do
    row "${i% *}" $D | cmp -s - <(tail -c +129 "o/textual/transformers/clip/1/${i#* }.npy")
    ok $? "the text of ${i#* } is that of its row"
done
mv o whole
sed 's/\[avgpool, layer4\]/layer4/; /vit, backend/d' c.yml >one.yml
right 'one layer of one model' extract one.yml
cmp -s whole/visual/torch/resnet_basic/layer4/a.1.npy o/visual/torch/resnet_basic/layer4/a.1.npy
ok $? 'several layers and models give the bytes of one'
right 'a map of one place' extract one.yml --quiet --visual.items.model.0.reshape='[32, 32]'
shape o/visual/torch/resnet_basic/layer4/b.npy '1, [0-9]*'
ok $? 'a torch model gives no axes of length 1, as in Ducho'
decodes() { # OPTION...: how often images are decoded
    rm -rf o
    "$sapor" extract "$@" --quiet --trace trace.json && grep -o '"name":"decode"' trace.json | wc -l
}
sed '/^textual/,$d; /^  interactions/d' c.yml >images.yml
sed '/vit, backend/d' images.yml >single.yml
[ "$(decodes images.yml)" = "$(decodes single.yml)" ]
ok $? 'an image is decoded once for several models'
rm -rf o
extract 'resuming: a first part' --quiet --shard 1/2
extract 'resuming: the rest' --json --quiet
! grep -v '"made":[12],"skipped":[12],' out | grep -q extraction && features whole o
ok $? 'finished files are skipped, the others made'
rm -rf o
for i in 1 2 3; do extract "shard $i of 3" --shard $i/3 --quiet; done
features whole o
ok $? 'shards together are one run, byte for byte'
before=$(find o -name '*.npy' | wc -l)
sed 's/\[avgpool, layer4\]/avgpool/; /vit, backend/d' c.yml >few.yml
right 'one file for all items' extract few.yml --single --quiet
[ "$(find o -name '*.npy' | wc -l)" = $((before + 8)) ] && shape o/textual/transformers/clip/1.npy '3, 6' &&
    printf 'a.1\nb\nc\n' | cmp -s - o/textual/transformers/clip/1.ids.txt &&
    tail -c 24 o/textual/transformers/clip/1.npy | cmp -s - <(tail -c 24 o/textual/transformers/clip/1/c.npy)
ok $? 'its rows are the items'"'"
wrong 1 '--single: layer layer4 has feature maps' 'one file of maps' extract c.yml --single --quiet --visual.items.output_path=o/maps
[ ! -e o/maps ]
ok $? 'nothing is made then'
wrong 2 'single: run all shards first' 'one file of a shard' extract few.yml --single --shard 1/2

right 'pixels of torchvision' extract c.yml --resize torchvision --json --quiet
[ "$(grep -c '"made":3,' out)" = 3 ] && ! cmp -s o/visual/transformers/clip/1/b.npy whole/visual/transformers/clip/1/b.npy
ok $? 'what image processors prepare is made again'
mkdir alpha
cp "$golden/images/RGB.png" alpha/x.png
cp "$golden/images/RGBA.png" alpha/y.png
cat >alpha.yml <<END
dataset_path: .
visual: {items: {input_path: alpha, output_path: alpha_o, model: [{model_name: $models/clip, backend: transformers, output_layers: image_embeds}]}}
END
right 'a transparent image' extract alpha.yml --quiet
cmp -s alpha_o/transformers/clip/image_embeds/x.npy alpha_o/transformers/clip/image_embeds/y.npy
ok $? 'its alpha has no effect, as in Ducho'
right 'bench extract' bench extract few.yml --items 2
[ "$(grep -cE '^[^ ]+ +(visual|textual|visual_textual) +2( +[0-9.]+){7}$' out)" = 6 ] && grep -qE '^model +modality +items +1 +2 +4 +8 +16 +32 +64$' out
ok $? 'seconds by batch size, a row for each model'

# ---- overrides, compat, items without a partner --------------------------------------------------------------------------------------
sed '/^visual:/,/^visual_textual/ { /^visual_textual/!d }' c.yml >pairs.yml
rm -rf o
right 'overrides' extract pairs.yml --quiet --visual_textual.items.output_path.textual=o/other --visual_textual.items.model.0.output_layers=2 \
    --visual_textual.items.model.0.batch_size=1 --visual_textual.items.model.1.batch_size=1
cmp -s o/other/transformers/clip/2/b.npy whole/textual/transformers/clip/1/b.npy &&
    cmp -s o/visual_other_sum/transformers/clip/1/c.npy whole/visual_textual_sum/transformers/clip/1/c.npy
ok $? 'a number of a layer is the usual output; a batch of one is fused too'
rm -rf o
cp pictures/b.jpg pictures/d.jpg
printf 'e\tnot shown\n' >>t.tsv
right 'items without a partner' extract pairs.yml
printf 'id\treason\nd\thas no text\ne\thas no image\n' | cmp -s - o/visual/transformers/clip/missing_1.tsv &&
    diff -r whole/textual/transformers/clip/1 o/textual/transformers/clip/1
ok $? 'they are listed, the others are made'
wrong 1 'has no text' 'they are an error with --strict' extract pairs.yml --strict --quiet
rm -rf o
lists=o/visual/transformers/clip/missing_1
for i in 1 2; do right "items without a partner, shard $i of 2" extract pairs.yml --quiet --shard $i/2; done
printf 'd\thas no text\ne\thas no image\nid\treason\n' | cmp -s - <(sort -u $lists-1-of-2.tsv $lists-2-of-2.tsv)
ok $? 'shards list them together'
right 'all items after shards' extract pairs.yml --quiet
[ "$(ls o/visual/transformers/clip)" = "$(printf '1\nmissing_1.tsv')" ]
ok $? 'and one list is left'
rm -rf o
echo 'compat: ducho' | cat - pairs.yml >compat.yml
right 'compat: ducho' extract compat.yml --quiet
cmp -s o/textual/transformers/clip/1/a.npy whole/textual/transformers/clip/1/c.npy && cmp -s o/visual/transformers/clip/1/a.npy whole/visual/transformers/clip/1/a.1.npy
ok $? 'pairs by position, names to the first dot'

# ---- many items, one in a hundred damaged -----------------------------------------------------------------------------------------------
items=${ITEMS:-300}
rm -rf o pictures
mkdir pictures
for ((i = 0; i < items; i++)); do
    if ((i % 100 == 37)); then head -c 60 "$golden/images/grey.jpg" >"pictures/$i.jpg"; else ln "$golden/images/grey.jpg" "pictures/$i.jpg" 2>/dev/null || cp "$golden/images/grey.jpg" "pictures/$i.jpg"; fi
done
right "$items images, some damaged" extract single.yml --json --quiet
grep -q "\"made\":$((items - items / 100)),\"skipped\":0,\"missing\":$((items / 100))," out &&
    [ "$(tail -n +2 o/visual/torch/resnet_basic/missing_avgpool.tsv | wc -l)" = $((items / 100)) ] &&
    [ "$(find o/visual/torch/resnet_basic/avgpool -name '*.npy' | wc -l)" = $((items - items / 100)) ]
ok $? 'the damaged ones are listed'
echo "1..$number"
