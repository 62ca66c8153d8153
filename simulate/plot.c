/* The picture of report.h: two columns of bars, broken flows and memory, both by decades. What had been silent for longer
 * than the window is not in the bars but written beside them. */
#include "report.h"

#include <errno.h>
#include <math.h>

#define LEFT	 150.0 /* where the names end */
#define BAR	 300.0 /* width of a column */
#define GAP	 100.0
#define ROW	 26.0
#define HEAD	 64.0
#define FOOT	 34.0

/* A column: what a decade is worth, and from which to which it goes. */
struct column {
	double at;
	double least, most; /* logarithms */
	const char *title;
	const char *const *ticks; /* of every decade from least on */
};

static const char *const broken_ticks[] = {"1", "10", "100", "1k", "10k", "100k", "1M", "10M", "100M"};
static const char *const bytes_ticks[] = {"1 kB", "10 kB", "100 kB", "1 MB", "10 MB", "100 MB", "1 GB", "10 GB"};

static const struct column broken_column = {LEFT, 0, 7, "broken flows that were not silent longer than W", broken_ticks};
static const struct column bytes_column = {LEFT + BAR + GAP, 3, 10, "memory of remembered flows", bytes_ticks};

static double scaled(const struct column *column, double value)
{
	double log = value > 0 ? log10(value) : column->least;

	log = log < column->least ? column->least : log > column->most ? column->most : log;
	return (log - column->least) / (column->most - column->least) * BAR;
}

static void draw_grid(FILE *out, const struct column *column, double top, double height)
{
	fprintf(out, "<text class='title' x='%.0f' y='%.0f'>%s</text>\n", column->at, top - 22, column->title);
	for (int decade = (int)column->least; decade <= (int)column->most; decade++) {
		double x = column->at + (decade - column->least) / (column->most - column->least) * BAR;

		fprintf(out, "<line x1='%.1f' y1='%.0f' x2='%.1f' y2='%.0f'/>\n", x, top, x, top + height);
		fprintf(out, "<text class='tick' x='%.1f' y='%.0f'>%s</text>\n", x, top - 6,
			column->ticks[decade - (int)column->least]);
	}
}

static void draw_bar(FILE *out, const struct column *column, double y, const char *kind, double value, const char *label)
{
	double width = scaled(column, value);

	if (value > 0)
		fprintf(out, "<rect class='%s' x='%.1f' y='%.1f' width='%.1f' height='9'/>\n", kind, column->at, y,
			width < 1 ? 1 : width);
	fprintf(out, "<text class='value' x='%.1f' y='%.1f'>%s</text>\n", column->at + width + 4, y + 8, label);
}

static void draw_outcome(FILE *out, const struct outcome *outcome, const char *kind, double y)
{
	unsigned long long longer = outcome->broken[SILENT_LONGER], within = report_broken(outcome) - longer;
	char text[64], bytes[16];

	snprintf(text, sizeof(text), longer ? "%llu, and %llu silent > W" : "%llu", within, longer);
	draw_bar(out, &broken_column, y, kind, (double)within, text);
	draw_bar(out, &bytes_column, y, kind, (double)outcome->flow_bytes,
		 outcome->flow_bytes ? report_bytes(outcome->flow_bytes, bytes) : "none");
}

static double panel_height(void)
{
	return HEAD + SCHEMES * ROW + FOOT;
}

static void draw_panel(FILE *out, const struct report *report, double top)
{
	double grid = top + HEAD;

	fprintf(out, "<text class='head' x='10' y='%.0f'>%u backends, %.3g million flows</text>\n", top + 20,
		report->options.backends, (double)report->calm.flows / 1e6);
	draw_grid(out, &broken_column, grid, SCHEMES * ROW);
	draw_grid(out, &bytes_column, grid, SCHEMES * ROW);
	for (int i = 0; i < SCHEMES; i++) {
		double y = grid + i * ROW;

		fprintf(out, "<text class='name' x='%.0f' y='%.1f'>%s</text>\n", LEFT - 8, y + 16, scheme_names[i]);
		draw_outcome(out, &report->calm.outcomes[i], "calm", y + 3);
		if (report->options.flood_rate)
			draw_outcome(out, &report->flooded.outcomes[i], "flood", y + 13);
	}
}

static void draw_key(FILE *out, const char *kind, double x, double y)
{
	fprintf(out, "<rect class='%s' x='%.0f' y='%.0f' width='18' height='9'/>\n<text x='%.0f' y='%.0f'>", kind, x, y, x + 24,
		y + 9);
}

static void draw_legend(FILE *out, const struct options *options, double y)
{
	draw_key(out, "calm", LEFT, y);
	fprintf(out, "without a flood</text>\n");
	if (!options->flood_rate)
		return;
	draw_key(out, "flood", LEFT + 140, y);
	fprintf(out, "with a flood of %u SYNs a second for %u s</text>\n", options->flood_rate, options->flood_s);
}

int plot_write(const char *path, const struct report *reports, size_t count)
{
	double width = LEFT + 2 * BAR + GAP + 70, height = (double)count * panel_height() + 30;
	FILE *out = fopen(path, "w");

	if (!out)
		return -1;
	fprintf(out, "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %.0f %.0f' font-family='sans-serif' font-size='11'>\n"
		"<style>\nrect.back { fill: #fff } rect.calm { fill: #2b6a99 } rect.flood { fill: #e08a3c }\n"
		"line { stroke: #ddd } text { fill: #222 } text.head { font-size: 14px; font-weight: bold }\n"
		"text.title { font-weight: bold } text.tick { text-anchor: middle; fill: #777; font-size: 9px }\n"
		"text.name { text-anchor: end } text.value { font-size: 9px }\n</style>\n"
		"<rect class='back' width='100%%' height='100%%'/>\n", width, height);
	for (size_t i = 0; i < count; i++)
		draw_panel(out, &reports[i], (double)i * panel_height());
	draw_legend(out, &reports->options, height - 24);
	fprintf(out, "</svg>\n");
	return fclose(out) ? -1 : 0;
}
