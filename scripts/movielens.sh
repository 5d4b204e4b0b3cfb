# scripts/movielens.sh: functions that read the files of MovieLens, for demo-movielens.sh and study.sh. It is sourced, not run.

# Prints the items with a poster in FOLDER and an overview in ITEMS (item, title, genres, description; with a header): item, title, text.
poster_texts() { # FOLDER ITEMS
    ls "$1" | sed 's/\..*//' | awk -F'\t' -v OFS='\t' 'FNR == NR { poster[$1] = 1; next } FNR == 1 { print "item", "title", "text"; next }
        ($1 in poster) && $4 != "" { print $1, $2, $2 ". " $4 }' - "$2"
}

# Prints the ratings of 4 and more, of the items in TEXTS.
ratings_of() { # TEXTS RATINGS
    awk -F'\t' 'FNR == NR { known[$1] = 1; next } $3 >= 4 && ($2 in known)' "$1" "$2"
}

# Prints a Ducho configuration for the features of FOLDER/texts.tsv (columns item and text) and, if POSTERS is not empty, of the images in it.
extraction() { # FOLDER POSTERS
    echo "dataset_path: $1"
    if [ -n "$2" ]; then
        cat <<END
visual:
  items:
    input_path: $2
    output_path: visual_embeddings
    model:
      - { model_name: efficientnet-lite0.pth, backend: torch, output_layers: avgpool, reshape: [224, 224],
          preprocessing: zscore, mean: [0.498, 0.498, 0.498], std: [0.502, 0.502, 0.502], batch_size: 16 }
END
    fi
    cat <<END
textual:
  items:
    input_path: texts.tsv
    item_column: item
    text_column: text
    output_path: textual_embeddings
    model:
      - { model_name: all-MiniLM-L6-v2, backend: sentence_transformers, output_layers: 1, batch_size: 16 }
END
}

# Prints the argument of `sapor train --features` after that extraction.
extracted() { # FOLDER POSTERS
    printf '%stextual=%s\n' "${2:+visual=$1/visual_embeddings/torch/efficientnet-lite0/avgpool,}" \
        "$1/textual_embeddings/sentence_transformers/all-MiniLM-L6-v2/1"
}
