/*
 * The picture: well-formed (asked of xmllint, where it is installed, and of a checker here), small
 * whatever the profile, and true to it: the peak is a vertex, names are escaped.
 *
 * With MEMPROF_TEST_SVG=FOLDER the pictures are left there, to be looked at.
 */
#include "check_support.h"
#include "out.h"
#include "profile.h"
#include "profile_top.h"
#include "write_svg.h"
#include "writer.h"

#include <check.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB (1024.0 * 1024)

/* A run made up of the live bytes of each site over time. */
struct run {
	const char *name, *cmdline;
	double duration_s;
	size_t points, sites, top;
	double (*bytes)(size_t site, double part); /* part of the run, 0 to 1 */
	double (*rss)(double part);
	double spike; /* at 0.7 of the run, between two points: bytes more than any point shows */
};

static struct profile_frame frames[8];
static const struct profile_frame *site_frames[1024][3];
static char functions[1024][64];
static struct profile_frame own_frames[1024];

static void name_sites(struct profile *profile)
{
	frames[0] =
	    (struct profile_frame){.function = "main", .file = "/src/app/main.c", .line = 41};
	for (size_t i = 0; i < profile->site_count; i++) {
		snprintf(functions[i], sizeof(functions[i]), "make_widget_%zu", i);
		own_frames[i] = (struct profile_frame){.function = functions[i],
						       .file = "/src/app/widget.c",
						       .line = (uint32_t)(100 + i)};
		site_frames[i][0] = &own_frames[i];
		site_frames[i][1] = &frames[0];
		profile->sites[i].stack =
		    (struct profile_stack){.frames = site_frames[i], .count = 2};
	}
}

static void *many(size_t count, size_t bytes)
{
	void *memory = calloc(count ? count : 1, bytes);

	ck_assert_ptr_nonnull(memory);
	return memory;
}

static void fill_points(const struct run *run, struct profile *profile)
{
	struct profile_totals *totals = &profile->totals;

	for (size_t p = 0; p < run->points; p++) {
		struct profile_point *point = &profile->points[p];
		double part = (double)(p + 1) / (double)run->points, fine = part;
		double sum = 0, high = -1, low = INFINITY;

		for (int k = 7; k >= 0; k--) {
			fine = part - k / 8.0 / (double)run->points;
			sum = 0;
			for (size_t s = 0; s < run->sites; s++)
				sum += floor(run->bytes(s, fine));
			if (sum > high) {
				high = sum;
				point->high_time_s = fine * run->duration_s;
			}
			low = fmin(low, sum);
		}
		point->time_s = part * run->duration_s;
		point->live_bytes = (uint64_t)sum;
		point->live_blocks = point->live_bytes / 32;
		point->high_bytes = (uint64_t)high;
		point->low_bytes = (uint64_t)low;
		point->rss_bytes = run->rss ? (uint64_t)run->rss(part) : 0;
		if (part >= 0.7 && part - 1.0 / (double)run->points < 0.7 && run->spike > 0) {
			point->high_bytes += (uint64_t)run->spike;
			point->high_time_s = 0.7 * run->duration_s;
		}
		if (point->high_bytes > totals->peak_bytes) {
			totals->peak_bytes = point->high_bytes;
			totals->peak_time_s = point->high_time_s;
		}
		totals->live_bytes_end = point->live_bytes;
	}
}

/* The top sites and their curves, as profile_load() finds them. */
static void follow(struct profile *profile, const struct run *run, bool by_stack)
{
	struct profile_options options = {.top_count = run->top, .top_by_stack = by_stack};
	uint32_t *ranks;

	free(profile->top);
	free(profile->top_bytes);
	ck_assert_int_eq(profile_top_choose(profile, &options, &ranks), 0);
	profile->top_bytes = many(run->points * profile->top_count, sizeof(*profile->top_bytes));
	for (size_t s = 0; s < run->sites; s++)
		for (size_t p = 0; p < run->points && ranks[s] != UINT32_MAX; p++)
			profile->top_bytes[p * profile->top_count + ranks[s]] +=
			    (uint64_t)run->bytes(s, (double)(p + 1) / (double)run->points);
	free(ranks);
}

static struct profile *make(const struct run *run)
{
	struct profile *profile = many(1, sizeof(*profile));
	double part;

	profile->process.cmdline = run->cmdline ? run->cmdline : "./app --size=3 input.txt";
	profile->process.exe = "/usr/bin/app";
	profile->process.end = "exit";
	profile->totals.duration_s = run->duration_s;
	profile->point_count = run->points;
	profile->points = many(run->points, sizeof(*profile->points));
	profile->site_count = run->sites;
	profile->sites = many(run->sites, sizeof(*profile->sites));
	fill_points(run, profile);
	profile->totals.peak_blocks = profile->totals.peak_bytes / 32;
	profile->totals.allocations = profile->totals.peak_blocks * 3;
	profile->totals.live_blocks_end = profile->totals.live_bytes_end / 32;
	name_sites(profile);
	part = run->duration_s > 0 ? profile->totals.peak_time_s / run->duration_s : 0;
	for (size_t s = 0; s < run->sites; s++) {
		profile->sites[s].peak_bytes = (uint64_t)run->bytes(s, part);
		profile->sites[s].peak_blocks = profile->sites[s].peak_bytes / 32;
	}
	follow(profile, run, false);
	return profile;
}

static void unmake(struct profile *profile)
{
	free(profile->points);
	free(profile->sites);
	free(profile->top);
	free(profile->top_bytes);
	free(profile);
}

/* The second holds next to nothing: "<0.1 %" of the peak. */
static double speck(size_t site, double part)
{
	(void)part;
	return site == 0 ? 640 * MIB : 100;
}

static double growing(size_t site, double part)
{
	return 3 * MIB * part / (double)(site + 1);
}

static double flat(size_t site, double part)
{
	(void)part;
	return site == 0 ? 640 * 1024 : 1000;
}

static double steps(size_t site, double part)
{
	return part > 0.08 * (double)site ? (20 - (double)(site % 9)) * MIB : 0;
}

static double saw(size_t site, double part)
{
	double tooth = fmod(part * 12, 1);

	return site == 0 ? 2 * MIB : site == 1 ? tooth * 30 * MIB : (tooth > 0.5) * 3 * MIB;
}

/* Many teeth a pixel. */
static double fine_saw(size_t site, double part)
{
	return site == 0 ? 4 * MIB * (1 - part) : (0.2 + fmod(part * 7919.3, 1)) * 10 * MIB;
}

static double falling(size_t site, double part)
{
	return 9 * MIB * (1 - part) / (double)(site + 1);
}

static double nothing(size_t site, double part)
{
	(void)site;
	(void)part;
	return 0;
}

static double noise(size_t site, double part)
{
	(void)site;
	(void)part;
	return drand48() * 1e9;
}

static double huge(size_t site, double part)
{
	return 2e17 * (part < 0.5 ? part : 1 - part) * (double)(site + 1);
}

static double tail(size_t site, double part)
{
	return (50 * MIB / (1 + (double)site)) * (part < 0.6 ? sin(part * 2.6) : 0.4 + part / 3);
}

static double library(size_t site, double part)
{
	return 1.5 * MIB / (double)(site + 1) * sqrt(part);
}

static double rss_near(double part)
{
	return 12 * MIB + 60 * MIB * sqrt(part);
}

static double rss_far(double part)
{
	return 180 * MIB + 40 * MIB * part;
}

static const struct run runs[] = {
    {"growing", NULL, 12.5, 1000, 12, 8, growing, NULL, 0},
    {"short", "./hello", 0.00094, 60, 3, 3, growing, rss_far, 0},
    {"flat", "/usr/bin/true --really", 61, 500, 2, 2, flat, NULL, 0},
    {"steps", "make -j8 all", 754, 900, 12, 8, steps, NULL, 0},
    {"saw", "redis-server --port 7000", 4.2, 2400, 3, 3, saw, rss_near, 0},
    {"fine-saw", "python3 -c 'for i in range(100): f(i)'", 36000, 2400, 2, 2, fine_saw, NULL, 0},
    {"peak-at-start", NULL, 3, 1000, 5, 5, falling, NULL, 0},
    {"spike", NULL, 30, 2400, 5, 5, growing, NULL, 9 * MIB},
    {"nothing", "/bin/true", 0.002, 0, 0, 0, nothing, NULL, 0},
    {"only-rss", "/opt/static/app", 20, 300, 0, 0, nothing, rss_near, 0},
    {"one-site", NULL, 8, 700, 1, 1, growing, rss_near, 0},
    {"thousand-sites", "./server --threads 64", 250, 2400, 1000, 8, tail, rss_far, 0},
    {"noise", NULL, 1e9, 20000, 40, 20, noise, NULL, 0},
    {"huge", NULL, 3e6, 2400, 8, 8, huge, NULL, 0},
    {"library", "gimp --no-interface --batch script.scm picture.xcf", 92, 2400, 30, 8, library,
     rss_far, 0},
    {"speck", NULL, 2, 100, 3, 2, speck, NULL, 0},
    {"few-points", NULL, 5, 6, 3, 3, steps, NULL, 0},
};
#define RUNS ((int)(sizeof(runs) / sizeof(runs[0])))

static void keep(const char *name, const char *text)
{
	const char *folder = getenv("MEMPROF_TEST_SVG");
	char path[4096];
	FILE *file;

	if (!folder)
		return;
	snprintf(path, sizeof(path), "%s/%s.svg", folder, name);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

/* Pipes the picture through xmllint; where there is none, says so and leaves it at our own check.
 */
static void check_xmllint(const char *text)
{
	FILE *pipe;

	if (system("command -v xmllint >/dev/null 2>&1") != 0) {
		fprintf(stderr, "xmllint is not installed: not asked\n");
		return;
	}
	pipe = popen("xmllint --noout --nonet -", "w");
	ck_assert_ptr_nonnull(pipe);
	ck_assert_uint_eq(fwrite(text, 1, strlen(text), pipe), strlen(text));
	ck_assert_int_eq(pclose(pipe), 0);
}

/* Tags nest and only harmless characters are there; no script, and nothing fetched from elsewhere.
 */
static void check_markup(const char *text)
{
	char open[32][16];
	size_t depth = 0;

	for (const char *at = text; *at; at++) {
		size_t length;

		ck_assert_msg((unsigned char)*at >= 0x20 || *at == '\n', "control %d", *at);
		ck_assert(*at != '>' || at == text || depth > 0);
		if (*at == '&')
			ck_assert(strncmp(at, "&lt;", 4) == 0 || strncmp(at, "&gt;", 4) == 0 ||
				  strncmp(at, "&amp;", 5) == 0 || strncmp(at, "&quot;", 6) == 0 ||
				  strncmp(at, "&#39;", 5) == 0 || strncmp(at, "&apos;", 6) == 0);
		if (*at != '<')
			continue;
		at++;
		length = strspn(at, "abcdefghijklmnopqrstuvwxyz/?");
		ck_assert_uint_gt(length, 0);
		ck_assert_uint_lt(length, 16);
		if (*at == '/') {
			ck_assert_uint_gt(depth, 0);
			depth--;
			ck_assert_uint_eq(strlen(open[depth]), length - 1);
			ck_assert_int_eq(strncmp(open[depth], at + 1, length - 1), 0);
		} else if (*at != '?') {
			ck_assert_uint_lt(depth, 32);
			memcpy(open[depth], at, length);
			open[depth++][length] = '\0';
		}
		at = strchr(at, '>');
		ck_assert_ptr_nonnull(at);
		if (at[-1] == '/')
			depth--;
	}
	ck_assert_uint_eq(depth, 0);
	ck_assert_ptr_null(strstr(text, "<script"));
	ck_assert_ptr_null(strstr(text, "href"));
	ck_assert_ptr_null(strstr(text, "nan"));
	ck_assert_ptr_null(strstr(text, "inf"));
}

/* Draws and checks; the caller frees the text. */
static char *draw(const char *name, const struct profile *profile,
		  const struct writer_options *options)
{
	struct out *out;
	char *text;

	ck_assert_int_eq(out_open_memory(&out), 0);
	ck_assert_int_eq(writer_svg.write(profile, options, out), 0);
	text = strdup(out_memory(out));
	ck_assert_ptr_nonnull(text);
	ck_assert_uint_eq(strlen(text), out_written(out));
	ck_assert_int_eq(out_close(out), 0);
	keep(name, text);
	ck_assert_msg(strlen(text) < SVG_BYTES_MAX, "%s: %zu bytes", name, strlen(text));
	check_markup(text);
	check_xmllint(text);
	return text;
}

static const struct writer_options usual = {.top = WRITER_TOP_DEFAULT};

START_TEST(every_run)
{
	struct profile *profile = make(&runs[_i]);
	char *text = draw(runs[_i].name, profile, &usual);

	if (profile->totals.peak_bytes > 0)
		ck_assert_ptr_nonnull(strstr(text, "<circle"));
	else
		ck_assert_ptr_null(strstr(text, "<circle"));
	free(text);
	unmake(profile);
}
END_TEST

/* The largest pictures that can be asked for, of the worst data there is. */
START_TEST(size_limit)
{
	struct writer_options options = {
	    .top = 0, .width_px = 10000, .height_px = 10000, .by_stack = true};
	struct profile *profile = make(&runs[12]);
	char hostile[4000];
	char *text;

	ck_assert_str_eq(runs[12].name, "noise");
	for (size_t i = 0; i < sizeof(hostile); i++)
		hostile[i] = "<&>\""[i % 4];
	hostile[sizeof(hostile) - 1] = '\0';
	frames[1] =
	    (struct profile_frame){.function = hostile, .file = hostile, .line = 4000000000};
	for (size_t s = 0; s < profile->site_count; s++) {
		static const struct profile_frame *stack[64];

		for (size_t f = 0; f < 64; f++)
			stack[f] = &frames[1];
		profile->sites[s].stack = (struct profile_stack){.frames = stack, .count = 64};
	}
	for (size_t p = 0; p < profile->point_count; p++)
		profile->points[p].rss_bytes = (uint64_t)noise(0, 0) * 30;
	profile->process.cmdline = hostile;
	follow(profile, &runs[12], true);
	text = draw("limit", profile, &options);
	ck_assert_uint_gt(strlen(text), SVG_BYTES_MAX / 2);
	free(text);
	unmake(profile);
}
END_TEST

struct vertex {
	double x, y;
};

/*
 * The highest vertex between two x of the path that follows `marker`; *bottom becomes the lowest y
 * of the whole path.
 */
static struct vertex highest(const char *text, const char *marker, double from_x, double to_x,
			     double *bottom)
{
	struct vertex at, best = {0, 1e9};
	const char *path = strstr(text, marker);
	char *next;

	ck_assert_ptr_nonnull(path);
	path = strstr(path, " d=\"M");
	ck_assert_ptr_nonnull(path);
	at.x = strtod(path + 5, &next);
	at.y = strtod(next, &next);
	*bottom = at.y;
	ck_assert_int_eq(*next, 'l');
	for (next++; *next != '"' && *next != 'z';) {
		char *before = next;

		at.x += strtod(next, &next);
		at.y += strtod(next, &next);
		ck_assert_ptr_ne(next, before);
		if (at.y < best.y && at.x >= from_x && at.x <= to_x)
			best = at;
		*bottom = fmax(*bottom, at.y);
	}
	return best;
}

#define OUTLINE	   "fill=\"none\" stroke=\"#222222\""
#define AREA	   "fill=\"#c8c8c8\""
#define FIRST_AREA "<path fill=\"#0072b2\""

/* Though 20,000 points became 600: outline and areas reach the peak, and lesser peaks stay. */
START_TEST(peaks_survive)
{
	const struct run run = {"peaks-survive", NULL, 1000, 20000, 4, 4, fine_saw, NULL, 25 * MIB};
	struct profile *profile = make(&run);
	struct profile_point *lesser = &profile->points[5000];
	struct vertex circle, vertex;
	double bottom, lesser_x;
	const char *at;
	char *text;

	lesser->high_bytes = profile->totals.peak_bytes / 20 * 19;
	text = draw(run.name, profile, &usual);
	at = strstr(text, "<circle cx=\"");
	ck_assert_ptr_nonnull(at);
	ck_assert_int_eq(sscanf(at, "<circle cx=\"%lf\" cy=\"%lf\"", &circle.x, &circle.y), 2);
	vertex = highest(text, AREA, 0, 1000, &bottom);
	ck_assert_double_eq_tol(vertex.x, circle.x, 0.11);
	ck_assert_double_eq_tol(vertex.y, circle.y, 0.11);
	vertex = highest(text, OUTLINE, 0, 1000, &bottom);
	ck_assert_double_eq_tol(vertex.x, circle.x, 0.11);
	ck_assert_double_eq_tol(vertex.y, circle.y, 0.11);
	ck_assert_double_eq_tol(circle.x, 92 + 880 * 0.7, 0.11);
	lesser_x = 92 + 880 * lesser->high_time_s / 1000;
	vertex = highest(text, OUTLINE, lesser_x - 50, lesser_x + 50, &bottom);
	ck_assert_double_eq_tol(vertex.x, lesser_x, 0.11);
	ck_assert_double_eq_tol(bottom - vertex.y, (bottom - circle.y) * 0.95, 0.2);
	ck_assert_ptr_nonnull(strstr(text, "at 11 min 40 s</text>"));
	free(text);
	unmake(profile);
}
END_TEST

/* The first 24 sites hold more than each of the others, which are one name and together most. */
static double crowd(size_t site, double part)
{
	return (site < 24 ? 4000 : 1000) * part;
}

/* What is stacked, and what the legend says of it, is all of a name, not its largest stacks. */
START_TEST(a_name_is_all_its_stacks)
{
	const struct run run = {"crowd", NULL, 10, 100, 1024, 8, crowd, NULL, 0};
	struct profile *profile = make(&run);
	struct vertex area, outline;
	double bottom;
	char *text;

	for (size_t i = 24; i < run.sites; i++) {
		own_frames[i].function = "make_crowd";
		own_frames[i].line = 7;
	}
	follow(profile, &run, false);
	text = draw(run.name, profile, &usual);
	/* 1,000,000 of 1,096,000 bytes */
	ck_assert_ptr_nonnull(strstr(text, ">make_crowd widget.c:7</text>"));
	ck_assert_ptr_nonnull(strstr(text, "976.6 KiB in 31,000 blocks at the peak (91 %), "));
	ck_assert_ptr_nonnull(strstr(text, "\nand by 999 more call stacks of that name<"));
	ck_assert_ptr_nonnull(strstr(text, ">976.6 KiB</text>"));
	ck_assert_ptr_nonnull(strstr(text, ">31,000</text>"));
	ck_assert_ptr_nonnull(strstr(text, ">91 %</text>"));
	ck_assert_ptr_nonnull(strstr(text, "other (17 call stacks)"));
	/* The first colour's area is the lowest, and ends at as much of the whole. */
	outline = highest(text, OUTLINE, 0, 1000, &bottom);
	area = highest(text, FIRST_AREA, 0, 1000, &bottom);
	ck_assert_double_eq_tol(area.x, outline.x, 0.11);
	ck_assert_double_eq_tol((bottom - area.y) / (bottom - outline.y), 1000.0 / 1096, 0.002);
	area = highest(text, FIRST_AREA, 0, 92 + 444, &bottom);
	ck_assert_double_eq_tol((bottom - area.y) / (bottom - outline.y),
				(area.x - 92) / 880 * 1000 / 1096, 0.002);
	ck_assert_double_gt(area.x, 92 + 400);
	free(text);
	unmake(profile);
}
END_TEST

START_TEST(hostile_names)
{
	static const char *const names[] = {
	    "<script>alert(1)</script>",
	    "\x1b[31mred\x1b[0m",
	    "cut \xff\xc3( short",
	    "a\nb\tc\x01",
	    ("\xe2\x80\xae"
	     "drow"),
	    "]]>",
	    "\"'&amp;",
	    "\xf4\x90\x80\x80\xed\xa0\x80",
	};
	struct run run = runs[0];
	struct profile *profile;
	char *text;

	run.cmdline = "./app '<script>' \x1b]0;x\x07 \xff\xfe\n & \"x\"";
	profile = make(&run);
	for (size_t i = 0; i < 8; i++) {
		own_frames[i].function = names[i];
		own_frames[i].file = names[7 - i];
	}
	text = draw("hostile", profile, &usual);
	ck_assert_ptr_nonnull(strstr(text, "&lt;script&gt;alert(1)&lt;/script&gt;"));
	ck_assert_ptr_null(strchr(text, 0x1b));
	free(text);
	unmake(profile);
}
END_TEST

START_TEST(long_names)
{
	static const char name[] =
	    "std::_Hashtable<std::__cxx11::basic_string<char, std::char_traits<char>, "
	    "std::allocator<char> >, std::pair<std::__cxx11::basic_string<char, "
	    "std::char_traits<char>, std::allocator<char> > const, std::vector<std::shared_ptr<"
	    "engine::scene::Node>, std::allocator<std::shared_ptr<engine::scene::Node> > > >, "
	    "std::__detail::_Select1st>::_M_insert_unique_node(unsigned long, unsigned long)";
	struct writer_options options = usual;
	struct profile *profile = make(&runs[4]);
	char *text;

	frames[2] = (struct profile_frame){
	    .function = "engine::scene::load<engine::json::Reader>(engine::json::Reader&)",
	    .file = "/src/engine/scene.cpp",
	    .line = 388};
	frames[3] = (struct profile_frame){.module = "/usr/lib/x86_64-linux-gnu/libfancy.so.3",
					   .offset = 0x1a2b3c};
	for (size_t i = 0; i < 2; i++) {
		own_frames[i].function = name;
		own_frames[i].file = "/usr/include/c++/12/bits/hashtable.h";
		own_frames[i].line = 2183;
	}
	site_frames[1][1] = &frames[2];
	own_frames[2] = frames[3];
	follow(profile, &runs[4], false);
	text = draw("grouped", profile, &usual);
	ck_assert_ptr_nonnull(strstr(text, "hashtable.h:2183"));
	ck_assert_ptr_null(strstr(text, " ← "));
	ck_assert_ptr_nonnull(strstr(text, "\nand by 1 more call stack of that name"));
	free(text);
	options.by_stack = true;
	follow(profile, &runs[4], true);
	text = draw("long-names", profile, &options);
	ck_assert_ptr_nonnull(strstr(text, " ← engine::scene::lo"));
	ck_assert_ptr_nonnull(strstr(text, " ← main main.c:41"));
	ck_assert_ptr_nonnull(strstr(text, "libfancy.so.3+0x1a2b3c"));
	ck_assert_ptr_nonnull(strstr(text, "…"));
	free(text);
	unmake(profile);
}
END_TEST

START_TEST(options_are_kept)
{
	struct writer_options options = usual;
	struct profile *profile = make(&runs[11]);
	char *text;

	options.title = " the <title>\n\tof somebody\n";
	options.width_px = 1400;
	options.height_px = 900;
	options.top = 3;
	options.no_rss = true;
	text = draw("options", profile, &options);
	ck_assert_ptr_nonnull(strstr(text, "width=\"1400\" height=\"900\""));
	ck_assert_ptr_nonnull(strstr(text, ">the &lt;title&gt; of somebody<"));
	ck_assert_ptr_null(strstr(text, "RSS"));
	ck_assert_ptr_nonnull(strstr(text, "other (997 call stacks)"));
	free(text);
	options = usual;
	options.confidential = true;
	profile->process.cmdline = "./app --password=hunter2";
	text = draw("confidential", profile, &options);
	ck_assert_ptr_null(strstr(text, "hunter2"));
	ck_assert_ptr_null(strstr(text, "/src"));
	ck_assert_ptr_null(strstr(text, "/usr"));
	free(text);
	unmake(profile);
}
END_TEST

/* Between two samples it may have been more than in any. */
START_TEST(most_resident_of_the_whole_run)
{
	struct writer_options options = usual;
	struct profile *profile = make(&runs[4]);
	char *text;

	profile->totals.peak_rss_bytes = (uint64_t)777 << 40;
	text = draw("most-resident", profile, &options);
	ck_assert_ptr_nonnull(strstr(text, "777.0 TiB"));
	free(text);
	options.from_s = profile->totals.duration_s / 2;
	text = draw("most-resident-in-part", profile, &options);
	ck_assert_ptr_null(strstr(text, "777.0 TiB"));
	free(text);
	unmake(profile);
}
END_TEST

START_TEST(small_and_zoomed)
{
	struct writer_options options = usual;
	struct profile *profile = make(&runs[4]);

	options.width_px = 1;
	options.height_px = 1;
	free(draw("small", profile, &options));
	options = usual;
	options.from_s = 1;
	options.to_s = 1.5;
	free(draw("zoomed", profile, &options));
	options.from_s = 1e9;
	options.to_s = 0;
	free(draw("beyond", profile, &options));
	unmake(profile);
}
END_TEST

/* What a damaged trace may bring: nothing of it may crash, hang or break the markup. */
START_TEST(absurd_values)
{
	static const double times[] = {NAN, INFINITY, -INFINITY, -1, 1e300, 0};
	struct profile *profile = make(&runs[0]);

	for (size_t t = 0; t < sizeof(times) / sizeof(times[0]); t++) {
		profile->totals.duration_s = times[t];
		profile->totals.peak_time_s = times[(t + 1) % 6];
		for (size_t p = 0; p < profile->point_count; p++) {
			profile->points[p].high_time_s = times[(t + p) % 6];
			profile->points[p].high_bytes = p % 3 ? UINT64_MAX : 0;
			profile->points[p].low_bytes = p % 2 ? UINT64_MAX : 0;
			profile->points[p].rss_bytes = UINT64_MAX;
			if (p % 5 == 0)
				profile->points[p].time_s = times[(t + p / 5) % 6];
			profile->top_bytes[p * profile->top_count] = UINT64_MAX;
		}
		profile->top[0].peak_bytes = UINT64_MAX;
		free(draw("absurd", profile, &usual));
	}
	unmake(profile);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("write_svg");
	TCase *pictures = tcase_create("pictures");

	tcase_set_timeout(pictures, 60);
	tcase_add_loop_test(pictures, every_run, 0, RUNS);
	tcase_add_test(pictures, size_limit);
	tcase_add_test(pictures, peaks_survive);
	tcase_add_test(pictures, a_name_is_all_its_stacks);
	tcase_add_test(pictures, hostile_names);
	tcase_add_test(pictures, long_names);
	tcase_add_test(pictures, options_are_kept);
	tcase_add_test(pictures, most_resident_of_the_whole_run);
	tcase_add_test(pictures, small_and_zoomed);
	tcase_add_test(pictures, absurd_values);
	suite_add_tcase(suite, pictures);
	return support_run(suite);
}
