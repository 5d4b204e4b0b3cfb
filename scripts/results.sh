#!/bin/sh
# scripts/results.sh [PAGE]: writes the tables of docs/results.md, or of a copy of it, from docs/results/*.tsv. A table is between the lines
# "<!-- results: NAME -->" and "<!-- results end -->"; the rest of the page is left unchanged. It prints nothing if it succeeds.
#
# scripts/study.sh writes the TSV files: one row per run. If several learning rates of a recommender were compared, the table has the one with
# the best validation Recall@20 of the first seed, as chosen by study.sh. Other settings (ItemKNN's `implicit=true`) have separate rows. For
# Amazon, all settings of a recommender are one grid. The independent figures of ItemKNN are those of docs/recipes.md 6.4. The data sets of
# time.tsv are called "time ml1m" and "time mmrec-baby" here, because their runs have other settings.
set -eu
LC_ALL=C
export LC_ALL
page=${1:-$(dirname "$0")/../docs/results.md}
docs=$(dirname "$0")/../docs
results=${RESULTS:-$docs/results}
new=$page.new
trap 'rm -f "$new"' EXIT

awk '
BEGIN {
    FS = "\t"
    order = "Random MostPop ItemKNN UserKNN EASER AttributeItemKNN BPRMF LightGCN NGCF SGL SimGCL DGCF VBPR NGCF-M LATTICE GRCN MMGCN BM3 FREEDOM MGCN"
    # LightGCN-PyTorch, its README: 3 layers, one seed
    published = "published (LightGCN-PyTorch)|1000|0.1824|0.1547|||"
    failed = 0
}

function fail(text) {
    print "results: " text >"/dev/stderr"
    failed = 1
    exit 1
}

# ---- runs: the rows of the TSV files ----------------------------------------------------------------------------------------------

function value(run, column) { return field[run, column] }

# Returns the runs of a data set with this model and these replaced modalities (and these settings, if given), in the order of the file.
function find(data, model, knocked, settings,    run, found) {
    found = ""
    for (run = 1; run <= runs; run++)
        if (value(run, "data") == data && value(run, "model") == model && value(run, "knocked") == knocked && (settings == "" || value(run, "settings") == settings))
            found = found (found == "" ? "" : " ") run
    return found
}

function best(list,    n, i, run, found) { # of some runs, the one with the best validation result
    n = split(list, run, " ")
    found = run[1]
    for (i = 2; i <= n; i++)
        if (value(run[i], "valid Recall@20") + 0 > value(found, "valid Recall@20") + 0)
            found = run[i]
    return found
}

# Returns the settings of a recommender that get a row, separated by "|": the best learning rate; all settings, if none has a learning rate.
function chosen(data, model,    n, i, run, rates, all) {
    n = split(find(data, model, "-", ""), run, " ")
    rates = all = ""
    for (i = 1; i <= n; i++)
        if (value(run[i], "seed") == value(run[1], "seed")) {
            if (value(run[i], "settings") ~ /(^| )lr=/)
                rates = rates (rates == "" ? "" : " ") run[i]
            else
                all = all (all == "" ? "" : "|") value(run[i], "settings")
        }
    return rates == "" ? all : value(best(rates), "settings")
}

function models(data,    n, i, run, list, name) { # of a data set, in the order above; others follow
    list = ""
    n = split(order, name, " ")
    for (i = 1; i <= n; i++)
        if (find(data, name[i], "-", "") != "")
            list = list (list == "" ? "" : " ") name[i]
    for (run = 1; run <= runs; run++)
        if (value(run, "data") == data && index(" " order " " list " ", " " value(run, "model") " ") == 0)
            list = list (list == "" ? "" : " ") value(run, "model")
    return list
}

function setting(settings, name,    n, i, pair) { # the value of a setting
    n = split(settings, pair, " ")
    for (i = 1; i <= n; i++)
        if (index(pair[i], name "=") == 1)
            return substr(pair[i], length(name) + 2)
    return "-"
}

# Returns the first two cells of a row. A variant follows the name of the recommender, because that column has room for it.
function named(model, settings,    variant) {
    variant = setting(settings, "variant")
    sub(/(^| )variant=[^ ]*/, "", settings)
    sub(/^ /, "", settings)
    return model (variant == "-" ? "" : ", " variant) "|" settings
}

# ---- numbers ------------------------------------------------------------------------------------------------------------------------

# Computes the mean and the sample deviation of a column. If `minus` is not empty: of the differences to its runs with the same seed.
function summary(list, column, minus,    n, m, i, j, k, run, other, x) {
    k = split(list, run, " ")
    m = split(minus, other, " ")
    n = mean = deviation = 0
    for (i = 1; i <= k; i++) {
        for (j = 1; j <= m && value(other[j], "seed") != value(run[i], "seed"); j++)
            ;
        if (j <= m)
            x[++n] = value(run[i], column) - value(other[j], column)
        else if (minus == "")
            x[++n] = value(run[i], column)
    }
    for (i = 1; i <= n; i++)
        mean += x[i] / n
    for (i = 1; i <= n; i++)
        deviation += (x[i] - mean) * (x[i] - mean)
    deviation = n > 1 ? sqrt(deviation / (n - 1)) : 0
}

function figure(x) { return x ~ /[0-9]/ ? sprintf("%.4f", x) : "-" }
function seconds(x) { return x ~ /[0-9]/ ? sprintf(x >= 10 ? "%.1f" : x >= 1 ? "%.2f" : "%.3f", x) : "-" }

# Returns the cells of a run: columns of the file, or a setting.
function run_cells(run, columns,    n, i, name, x, text) {
    n = split(columns, name, "|")
    text = ""
    for (i = 1; i <= n; i++) {
        x = name[i] == "minutes" ? value(run, "seconds") / 60 : (run, name[i]) in field ? value(run, name[i]) : setting(value(run, "settings"), name[i])
        text = text (i > 1 ? "|" : "") (name[i] ~ /@20/ ? figure(x) : name[i] ~ /s.epoch/ ? seconds(x) : name[i] == "minutes" ? sprintf("%.1f", x) : x)
    }
    return text
}

# Returns the cells of several runs: means, with the deviation of figures in parentheses.
function mean_cells(list, columns,    n, i, name, text) {
    n = split(columns, name, "|")
    text = ""
    for (i = 1; i <= n; i++) {
        summary(list, name[i], "")
        text = text (i > 1 ? "|" : "") (name[i] ~ /@20/ ? sprintf("%.4f (%.4f)", mean, deviation) : value(list + 0, name[i]) == "-" ? "-" : name[i] == "MB" ? sprintf("%.0f", mean) : seconds(mean))
    }
    return text
}

# ---- a table: its rows are cells separated by "|"; a title that begins with ">" is one of a column of numbers ------------------

function begin(titles,    i) {
    columns = split(titles, title, "|")
    for (i = 1; i <= columns; i++) {
        right[i] = sub(/^>/, "", title[i])
        width[i] = length(title[i])
    }
    lines = 0
}
function add(cells,    i, cell) {
    split(cells, cell, "|")
    lines++
    for (i = 1; i <= columns; i++) {
        table[lines, i] = cell[i]
        width[i] = length(cell[i]) > width[i] ? length(cell[i]) : width[i]
    }
}
function finish(    i, line, text, dashes) {
    text = dashes = "|"
    for (i = 1; i <= columns; i++) {
        text = text sprintf(right[i] ? " %" width[i] "s |" : " %-" width[i] "s |", title[i])
        line = sprintf("%" (width[i] + 1) "s", "")
        gsub(/ /, "-", line)
        dashes = dashes line (right[i] ? ":" : "-") "|"
    }
    print text "\n" dashes
    for (line = 1; line <= lines; line++) {
        text = "|"
        for (i = 1; i <= columns; i++)
            text = text sprintf(right[i] ? " %" width[i] "s |" : " %-" width[i] "s |", table[line, i])
        print text
    }
}

# ---- the tables of the page -----------------------------------------------------------------------------------------------------------

function of_seeds(data,    n, m, i, j, model, settings) { # several seeds: means
    begin("recommender|settings|>Recall@20|>nDCG@20|>s/epoch|>MB")
    n = split(models(data), model, " ")
    for (i = 1; i <= n; i++) {
        m = split(chosen(data, model[i]), settings, "|")
        for (j = 1; j <= m; j++)
            add(named(model[i], settings[j]) "|" mean_cells(find(data, model[i], "-", settings[j]), "Recall@20|nDCG@20|s/epoch|MB"))
    }
    finish()
}

function knock_outs(data,    n, i, j, model, settings, all, list, without, text) {
    begin("recommender|noise instead of|>Recall@20|>minus all modalities|two deviations")
    n = split(models(data), model, " ")
    split("visual textual both", without, " ")
    for (i = 1; i <= n; i++) {
        settings = chosen(data, model[i])
        all = find(data, model[i], "-", settings)
        for (j = 1; j <= 3; j++) {
            list = find(data, model[i], without[j], settings)
            if (list == "")
                continue
            if (j == 1)
                add(model[i] "|-|" mean_cells(all, "Recall@20") "||")
            text = model[i] "|" without[j] "|" mean_cells(list, "Recall@20")
            summary(list, "Recall@20", all)
            add(text "|" sprintf("%+.4f (%.4f)", mean, deviation) "|" (mean > 2 * deviation ? "above" : mean < -2 * deviation ? "below" : ""))
        }
    }
    finish()
}

function add_best(data, only_fixed,    n, i, model, run) { # the best of all settings; or only of those without epochs
    n = split(models(data), model, " ")
    for (i = 1; i <= n; i++) {
        run = best(find(data, model[i], "-", ""))
        if (!only_fixed || value(run, "best_epoch") == "-")
            add(named(model[i], value(run, "settings")) "|" run_cells(run, "best_epoch|valid Recall@20|Recall@20|nDCG@20|s/epoch"))
    }
}

function of_one_seed(data, fixed) {
    begin("recommender|settings|>epoch|>valid|>Recall@20|>nDCG@20|>s/epoch")
    if (fixed != "")
        add_best(fixed, 1)
    add_best(data, 0)
    finish()
}

function before(a, b) { # the similarity, then the number of neighbours
    a = value(a, "settings")
    b = value(b, "settings")
    if (setting(a, "similarity") != setting(b, "similarity"))
        return setting(a, "similarity") < setting(b, "similarity")
    return setting(a, "neighbors") + 0 < setting(b, "neighbors") + 0
}

function neighbours(data,    n, i, j, run, moved, key) {
    begin("similarity|>neighbors|>valid|>Recall@20|>independent|>nDCG@20|>independent")
    n = split(find(data, "ItemKNN", "-", ""), run, " ")
    for (i = 2; i <= n; i++) {
        moved = run[i]
        for (j = i - 1; j > 0 && before(moved, run[j]); j--)
            run[j + 1] = run[j]
        run[j + 1] = moved
    }
    for (i = 1; i <= n; i++) {
        key = value(run[i], "settings")
        add(run_cells(run[i], "similarity|neighbors|valid Recall@20|Recall@20") "|" figure(recall[data, key]) "|" run_cells(run[i], "nDCG@20") "|" figure(ndcg[data, key]))
    }
    finish()
}

function schedules(data,    list, run) { # the best one first
    begin(">batch_size|>lr|>lr_decay|>epochs|>Recall@20|>s/epoch|>minutes|>MB")
    for (list = " " find(data, "LightGCN", "-", "") " "; list ~ /[0-9]/; sub(" " run " ", " ", list)) {
        run = best(list)
        add(run_cells(run, "batch_size|lr|lr_decay|epochs|valid Recall@20|s/epoch|minutes|MB"))
    }
    finish()
}

function final(data) {
    begin("LightGCN|>epochs|>Recall@20|>nDCG@20|>s/epoch|>minutes|>MB")
    add("Sapor|" run_cells(find(data, "LightGCN", "-", ""), "epochs|Recall@20|nDCG@20|s/epoch|minutes|MB"))
    add(published)
    finish()
}

function times(a, b,    n, i, model) {
    begin("recommender|>MovieLens-1M: s/epoch|>seconds|>MB|>Baby: s/epoch|>seconds|>MB")
    n = split(models(a), model, " ")
    for (i = 1; i <= n; i++)
        add(model[i] "|" run_cells(find(a, model[i], "-", ""), "s/epoch|seconds|MB") "|" run_cells(find(b, model[i], "-", ""), "s/epoch|seconds|MB"))
    finish()
}

function write(name) {
    if (name == "ml100k") of_seeds("ml100k")
    else if (name == "ml100k knocked") knock_outs("ml100k")
    else if (name == "ml1m") of_one_seed("ml1m", "time ml1m")
    else if (name == "office" || name == "baby") of_one_seed(name, "")
    else if (name == "office ItemKNN") neighbours("office")
    else if (name == "baby ItemKNN") neighbours("baby")
    else if (name == "gowalla held out") schedules("gowalla-held-out")
    else if (name == "gowalla") final("gowalla")
    else if (name == "time") times("time ml1m", "time mmrec-baby")
    else fail(FILENAME ":" FNR ": unknown table " name)
}

# ---- files: the TSV files, docs/recipes.md, the page --------------------------------------------------------------------------------

part == "runs" && FNR == 1 {
    for (i = 1; i <= NF; i++)
        column[i] = $i
    next
}
part == "runs" {
    runs++
    for (i = 1; i <= NF; i++)
        field[runs, column[i]] = $i
    field[runs, "data"] = prefix field[runs, "data"]
    next
}
part == "recipes" {
    if (/^##/)
        inside = /^### 6\.4 /
    if (inside && /^\| (Baby|Office) \|/) {
        split($0, cell, / *\| */)
        split(cell[3], words, " ")
        key = "neighbors=" words[2] " similarity=" words[1]
        recall[tolower(cell[2]), key] = cell[5] / 100
        ndcg[tolower(cell[2]), key] = cell[6] / 100
    }
    next
}
/^<!-- results: .* -->$/ {
    if (skipped)
        fail(FILENAME ":" FNR ": the table before this one has no line <!-- results end -->")
    name = substr($0, 15, length($0) - 18)
    print
    print ""
    write(name)
    print ""
    skipped = 1
}
/^<!-- results end -->$/ { skipped = 0 }
!skipped { print }
END {
    if (!failed && skipped)
        fail(FILENAME ": the last table has no line <!-- results end -->")
    exit failed
}
' part=runs "$results/ml100k.tsv" "$results/ml1m.tsv" "$results/office.tsv" "$results/baby.tsv" "$results/gowalla.tsv" \
    prefix="time " "$results/time.tsv" part=recipes "$docs/recipes.md" part=page "$page" >"$new"
mv "$new" "$page"
