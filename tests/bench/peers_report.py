"""What tests/bench/peers.py measured, written down: results.json, table.md, throughput.svg."""
import json
import os
import statistics
import subprocess

PICTURE = "throughput.svg"
BEGIN = "<!-- make bench-peers OUT=docs/performance: begin -->"
END = "<!-- make bench-peers OUT=docs/performance: end -->"
PLOT = """set terminal svg size 1200,460 font "sans,12" background "white"
set output "%(out)s"
set style data histogram
set style histogram errorbars gap 1 lw 1
set style fill solid 0.8 border -1
set boxwidth 0.9
set ylabel "operations a second"
set yrange [0:*]
set format y "%%.1s%%c"
set xtics font ",10"
set bmargin 4
set grid y
set key top left
plot "%(data)s" using 2:3:4:xtic(1) title "coord" linecolor rgb "#2266aa", \\
     "" using 5:6:7 title "peer" linecolor rgb "#cc8844"
"""


def spread(values):
    """Median, with minimum and maximum where there are several."""
    text = "%s" % number(statistics.median(values))
    return text if len(values) == 1 else "%s (%s to %s)" % (text, number(min(values)), number(max(values)))


def number(value):
    return "{:,.0f}".format(value) if value >= 100 else "%.3g" % value


def reached(row):
    value = statistics.median(row.get("ratios", row["coord"]))
    return value >= row["goal"] if row["higher_is_better"] else value <= row["goal"]


def row_text(row):
    sign = "at least" if row["higher_is_better"] else "at most"
    has_peer = "ratios" in row
    unit = "" if has_peer else " " + row["unit"]
    cells = [row["name"], spread(row["coord"]) + " " + row["unit"],
             spread(row["peer"]) + " " + row["unit"] if has_peer else "",
             "%.2f (%.2f to %.2f)" % (statistics.median(row["ratios"]), min(row["ratios"]), max(row["ratios"]))
             if has_peer else "", "%s %g%s" % (sign, row["goal"], "x" if has_peer else unit),
             "yes" if reached(row) else "**no**"]
    return "| " + " | ".join(cells) + " |"


def table(result):
    machine = result["machine"]
    lines = ["`%s`, %s: %s, %d cores, %d GiB, Linux %s, %s; %s, etcd %s, ZooKeeper %s (Java %s), h2load %s." %
             (result["command"], result["began"]["time"], machine["cpu"], machine["cores"], machine["memory_gib"],
              machine["kernel"], machine["file_system"], machine["coord"], machine["etcd"], machine["zookeeper"],
              machine["java"], machine["h2load"]),
             "Load average at the beginning %.1f, at the end %.1f." %
             (result["began"]["load_average"][0], result["load_average_at_end"][0]), "",
             "| work | coord | peer | ratio, median (min to max) | goal | reached |", "|---|---|---|---|---|---|"]
    lines += [row_text(row) for row in result["rows"]]
    for name, why in result["failed"].items():
        lines += ["", "The part `%s` failed: %s" % (name, why)]
    for name, figures in result["figures"].items():
        lines += ["", "%s:" % name, "", "| | |", "|---|---|"]
        lines += ["| %s | %s |" % (who, figure_text(values)) for who, values in figures.items()]
    return "\n".join(lines) + "\n"


def figure_text(values):
    if isinstance(values, dict):
        return ", ".join("%s %s" % (name, figure_text(value)) for name, value in values.items())
    return spread(values) if isinstance(values, list) else number(values)


def plot(result, folder):
    rows = [row for row in result["rows"] if row["unit"] == "/s" and "peer" in row]
    if not rows:
        return
    data = os.path.join(folder, "throughput.dat")
    with open(data, "w", encoding="utf-8") as out:
        for row in rows:
            name = row["name"].replace(", gRPC", "").replace("ZooKeeper's protocol", "ZK").replace(", to ", "\\nto ").replace("linearizable", "lin.")
            cells = []
            for side in ("coord", "peer"):
                cells += [statistics.median(row[side]), min(row[side]), max(row[side])]
            out.write('"%s" %s\n' % (name, " ".join("%.0f" % cell for cell in cells)))
    picture = os.path.join(folder, PICTURE)
    subprocess.run(["gnuplot"], input=PLOT % {"out": picture, "data": data}, text=True, check=True)
    os.remove(data)
    with open(picture, encoding="utf-8") as drawn:
        lines = [line.rstrip() for line in drawn]  # it is kept in docs, where no line ends in blanks
    with open(picture, "w", encoding="utf-8") as out:
        out.write("\n".join(lines) + "\n")


def put_into_docs(text, folder):
    """The page beside the folder, of its name, has marks between which the last run stands."""
    page = folder.rstrip("/") + ".md"
    if not os.path.exists(page):
        return
    with open(page, encoding="utf-8") as old:
        before, begin, rest = old.read().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        return
    picture = os.path.join(os.path.basename(folder.rstrip("/")), PICTURE)
    if os.path.exists(os.path.join(folder, PICTURE)):
        text += "\n![Operations a second of coord and its peers](%s)\n" % picture
    with open(page, "w", encoding="utf-8") as new:
        new.write(before + begin + "\n" + text + end + after)


def write(result, folder):
    """Returns the table."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "results.json"), "w", encoding="utf-8") as out:
        json.dump(result, out, indent=1)
        out.write("\n")
    text = table(result)
    with open(os.path.join(folder, "table.md"), "w", encoding="utf-8") as out:
        out.write(text)
    plot(result, folder)
    put_into_docs(text, folder)
    return text
