/* The text report: every line of a small one, folding, fitting, and nothing hostile. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "check_support.h"
#include "escape.h"
#include "sample_profile.h"
#include "text.h"

static struct profile_site sites[SAMPLE_SITES];
static struct profile profile;
static struct writer_options options;

static void setup(void)
{
	profile = sample_profile(sites);
	options = (struct writer_options){.top = WRITER_TOP_DEFAULT,
					  .depth = WRITER_DEPTH_DEFAULT,
					  .trace = "traces/memprof.dbserve.4242.bin"};
}

static char *report(void)
{
	return sample_written(&writer_text, &profile, &options);
}

static void check_has(const char *text)
{
	char *all = report();

	ck_assert_msg(strstr(all, text) != NULL, "no \"%s\" in:\n%s", text, all);
	free(all);
}

static void check_lacks(const char *text)
{
	char *all = report();

	ck_assert_msg(strstr(all, text) == NULL, "\"%s\" in:\n%s", text, all);
	free(all);
}

START_TEST(test_exact)
{
	static const char expected[] =
	    "dbserve --port 80 '/srv/my data'\n"
	    "pid 4242, 2 threads, exited with 0; traces/memprof.dbserve.4242.bin\n"
	    "\n"
	    "120,113 allocations (112 live at end), 10.5 MiB allocated, peak 8.2 MiB at 3.25 s, in "
	    "5.12 s\n"
	    "Leaks: 1 site very likely, 256.0 KiB; 16.0 KiB set up at start and kept\n"
	    "\n"
	    "Held at the peak: 8.2 MiB in 113 blocks at 3.25 s; 12.0 MiB resident at most\n"
	    "\n"
	    "  1.    97 %     8.0 MiB  in 1 block\n"
	    "        load_table  db.c:120\n"
	    "          via xmalloc\n"
	    "        main        main.c:22\n"
	    "\n"
	    "  2.   3.0 %   256.0 KiB  in 100 blocks\n"
	    "        log_line  log.c:31 (inlined)\n"
	    "        serve     serve.c:80\n"
	    "        main      main.c:22\n"
	    "\n"
	    "  3.   0.2 %    16.0 KiB  in 12 blocks\n"
	    "        libpq.so.5+0xbeef\n"
	    "        main               main.c:22\n"
	    "\n"
	    "Leak candidates: 272.0 KiB in 112 blocks live at the end\n"
	    "\n"
	    "  1. very likely   256.0 KiB  never freed, 100 blocks over 3.25 s, growing\n"
	    "        log_line  log.c:31 (inlined)\n"
	    "        serve     serve.c:80\n"
	    "        main      main.c:22\n"
	    "\n"
	    "  2.  not likely    16.0 KiB  set up by 0.002 s and kept, 12 blocks\n"
	    "        libpq.so.5+0xbeef\n"
	    "        main               main.c:22\n"
	    "\n"
	    "Most allocations: 120,113 in all, 3 by realloc\n"
	    "\n"
	    "  1.   >99 %       120,000  2.2 MiB, 19 B on average\n"
	    "        parse_expression  parse.c:55\n"
	    "        ... 4 more of the same (recursion)\n"
	    "        serve             serve.c:80\n"
	    "        main              main.c:22\n"
	    "\n"
	    "  2.  <0.1 %           100  256.0 KiB, 2.6 KiB on average\n"
	    "        log_line  log.c:31 (inlined)\n"
	    "        serve     serve.c:80\n"
	    "        main      main.c:22\n"
	    "\n"
	    "  3.  <0.1 %            12  16.0 KiB, 1.3 KiB on average\n"
	    "        libpq.so.5+0xbeef\n"
	    "        main               main.c:22\n"
	    "\n"
	    "     ... and 1 more with <0.1 % (-n 0 shows all)\n"
	    "\n"
	    "Temporary: 92 % (110,000 of 120,113), freed before the thread's next allocation\n"
	    "\n"
	    "  1.   100 %       110,000  of 120,000 here\n"
	    "        parse_expression  parse.c:55\n"
	    "        ... 4 more of the same (recursion)\n"
	    "        serve             serve.c:80\n"
	    "        main              main.c:22\n";
	char *all = report();

	ck_assert_str_eq(all, expected);
	free(all);
}
END_TEST

/* The order of the sites in memory must not show. */
START_TEST(test_same_whatever_the_order)
{
	struct profile_site mixed[SAMPLE_SITES] = {sites[3], sites[1], sites[0], sites[2]};
	char *first, *second;

	for (size_t i = 0; i < SAMPLE_SITES; i++)
		mixed[i].peak_bytes = sites[i].peak_bytes = 77; /* ties all over */
	profile.sites = sites;
	profile.sites[0] = mixed[2];
	profile.sites[1] = mixed[1];
	profile.sites[2] = mixed[3];
	profile.sites[3] = mixed[0];
	first = report();
	profile.sites = mixed;
	second = report();
	ck_assert_str_eq(first, second);
	free(first);
	free(second);
}
END_TEST

START_TEST(test_sections_and_sites)
{
	options.sections = SECTION_BYTES;
	options.top = 1;
	check_has("\nMost bytes allocated: 10.5 MiB in all\n\n  1.    76 %     8.0 MiB  in 1 "
		  "allocation\n");
	check_has("     ... and 3 more with 24 % (-n 0 shows all)\n");
	check_lacks("Held at the peak");
	check_lacks("  2. ");
	options.top = 0;
	check_has("  4.   0.1 %    16.0 KiB");
	check_lacks("more with");
}
END_TEST

/* Sites whose stacks meet in one line are one to a person, unless asked otherwise. */
START_TEST(test_grouped_by_site)
{
	static const struct profile_frame *const other[] = {&sample_xmalloc, &sample_load,
							    &sample_serve};

	options.sections = SECTION_PEAK;
	sites[3] = sites[1];
	sites[3].stack = (struct profile_stack){
	    .frames = other, .count = 3, .site_frame = 1, .truncated = false};
	sites[3].peak_bytes = 1024;
	check_has("  1.    97 %     8.0 MiB  in 2 blocks; 1 of 2 stacks:\n"
		  "        load_table  db.c:120\n"
		  "          via xmalloc\n"
		  "        main        main.c:22\n\n  2. ");
	options.by_stack = true;
	check_has("  3.  <0.1 %     1.0 KiB  in 1 block\n        load_table  db.c:120\n");
}
END_TEST

static const struct {
	const char *end;
	int status;
	uint64_t lost;
	const char *words;
} ends[] = {
    {"exit", 3, 0, ", exited with 3; "},
    {"exit", -1, 0, ", exited; "},
    {"signal", 11, 0, ", ended by SIGSEGV (nothing was lost); "},
    {"signal", 99, 0, ", ended by signal 99 (nothing was lost); "},
    {"killed", -1, 0, ", killed (nothing was lost); "},
    {"killed", -1, 1, ", killed; "},
    {"running", -1, 0, ", still running; "},
    {"exec", -1, 0, ", replaced itself by another program; "},
};

START_TEST(test_ends)
{
	profile.process.end = ends[_i].end;
	profile.process.end_status = ends[_i].status;
	profile.totals.lost_events = ends[_i].lost;
	check_has(ends[_i].words);
}
END_TEST

START_TEST(test_verdicts)
{
	sites[2].verdict = VERDICT_IN_USE;
	check_has("\nChurn: 92 % of all allocations were temporary; 100 % of them in "
		  "parse_expression (parse.c:55)\n");
	check_has(" not likely   256.0 KiB  100 of 100 blocks alive at the end\n");
	profile.totals.temporary = 10;
	check_has("\nPeak: 97 % in load_table (db.c:120)\n");
	profile.totals.allocations = 10;
	profile.totals.peak_rss_bytes = 16 * (profile.totals.peak_bytes + 1);
	if (profile.totals.peak_rss_bytes < 64 << 20)
		profile.totals.peak_rss_bytes = 64 << 20;
	check_has(
	    " resident: the rest is static data, a parent's, or of an allocator of its own\n");
	profile.totals.lost_events = 1;
	check_has("\nPeak: 97 % in load_table (db.c:120)\n");
	profile.totals.lost_events = 0;
	profile.totals.allocations = 0;
	check_has("\nNo allocation was seen: ");
	profile.damage.bad_segments = 1;
	check_has("\nNothing that could be read tells of an allocation\n");
	profile = (struct profile){0};
	check_has("0 allocations (0 live at end), 0 B allocated, peak 0 B at 0.000 s, in 0.000 s");
	check_lacks("Leak candidates");
	profile.totals.allocations = 1;
	check_has("Leak candidates: none, everything was freed\n");
}
END_TEST

START_TEST(test_warnings)
{
	check_lacks("Warnings");
	check_lacks("Incomplete");
	profile.totals.lost_events = 12;
	profile.totals.mismatched_frees = 1;
	profile.totals.foreign_frees = 3;
	profile.totals.failed = 1;
	profile.totals.maps = 2;
	profile.totals.map_bytes = 8192;
	profile.unwind = (struct profile_unwind){1000, 0, 7, 1};
	profile.damage = (struct profile_damage){.bad_segments = 2, .bad_bytes = 2048};
	strcpy(profile.damage.first, "bad hash at 4096");
	check_has("\nOwn mappings: 2 anonymous mmaps of 8.0 KiB, 0 B at most, 0 B at the end\n");
	check_has("in 5.12 s\n"
		  "Incomplete: the file is damaged, 2.0 KiB could not be read; "
		  "12 events were lost by the recorder\n");
	check_has("\nWarnings\n"
		  "  the file is damaged, 2.0 KiB could not be read: the figures are of the rest\n"
		  "    first: bad hash at 4096\n"
		  "  12 events were lost by the recorder: the figures miss them\n"
		  "  1 block was freed by the wrong function (malloc, new and new[] mixed)\n"
		  "  1 allocation failed\n"
		  "  3 blocks were freed that were allocated before recording began, or before a "
		  "fork\n"
		  "  unwind: 1,000 stacks checked against libunwind, 0 differ, 7 fallbacks\n"
		  "  1 stack was cut: record with a greater MEMPROF_DEPTH\n");
	profile.damage.lost_events = profile.totals.lost_events = 1;
	options.sections = SECTION_PEAK;
	check_has(
	    "\nIncomplete: the file is damaged, 2.0 KiB could not be read, at least 1 event is "
	    "gone\n");
}
END_TEST

/* A cycle of several functions is shown once; what is left is counted. */
START_TEST(test_recursion_and_depth)
{
	const struct profile_frame *frames[40] = {&sample_load};

	for (size_t i = 1; i < 31; i++)
		frames[i] = i % 2 ? &sample_parse : &sample_serve;
	frames[31] = &sample_main;
	sites[1].stack = (struct profile_stack){
	    .frames = frames, .count = 32, .site_frame = 0, .truncated = true};
	options.sections = SECTION_PEAK;
	check_has("        load_table        db.c:120\n"
		  "        parse_expression  parse.c:55\n"
		  "        serve             serve.c:80\n"
		  "        ... these 2 again, 14 more times (recursion)\n"
		  "        main              main.c:22\n"
		  "        ... (cut at the recorder's depth limit)\n");
	options.depth = 2;
	check_has("        load_table        db.c:120\n"
		  "        parse_expression  parse.c:55\n"
		  "        ... 30 more frames\n");
	options.depth = 0;
	check_has("main              main.c:22\n");
}
END_TEST

/* What a function was split into by inlining is one line; what calls main() is left out. */
START_TEST(test_split_functions)
{
	static const struct profile_frame part = SAMPLE_FRAME("serve", "/src/db/serve.c", 95,
							      SAMPLE_EXE, 0x1500, true),
					  stripped = SAMPLE_FRAME(NULL, NULL, 0, SAMPLE_EXE, 0x1010,
								  false),
					  libc_start = SAMPLE_FRAME("__libc_start_main_impl", NULL,
								    0, SAMPLE_LIB, 1, false);
	static const struct profile_frame *const frames[] = {
	    &sample_xmalloc, &part, &sample_serve, &sample_main, &libc_start, &stripped};

	sites[1].stack = (struct profile_stack){
	    .frames = frames, .count = 6, .site_frame = 3, .truncated = false};
	options.sections = SECTION_PEAK;
	check_has("        main  main.c:22\n          via serve > xmalloc\n\n");
	sites[1].stack.site_frame = 0;
	check_has("        xmalloc  util.c:7\n        serve    serve.c:95 (inlined)\n"
		  "        main     main.c:22\n\n");
}
END_TEST

/* A site is not its own wrapper, nor a wrapper that of itself. */
START_TEST(test_repeated_wrappers)
{
	static const struct profile_frame *const frames[] = {&sample_load,    &sample_xmalloc,
							     &sample_xmalloc, &sample_load,
							     &sample_load,    &sample_main};

	options.sections = SECTION_PEAK;
	sites[1].stack = (struct profile_stack){
	    .frames = frames, .count = 6, .site_frame = 4, .truncated = false};
	check_has("        load_table  db.c:120\n          via xmalloc\n        main ");
	sites[1].stack = (struct profile_stack){
	    .frames = frames + 3, .count = 3, .site_frame = 1, .truncated = false};
	check_has("        load_table  db.c:120\n        main ");
}
END_TEST

/* The command line of a forked child is its parent's. */
START_TEST(test_forked)
{
	profile.process.forked = true;
	profile.process.parent_pid = 4200;
	check_has("\npid 4242, forked, child of pid 4200, 2 threads, exited with 0; ");
	profile.process.parent_pid = 1; /* who forked it is gone */
	check_has("\npid 4242, forked, 2 threads, exited with 0; ");
}
END_TEST

/* Addresses in a row are folded, when they lead to a name; lower ranks get shorter stacks. */
START_TEST(test_nameless_run)
{
	static const struct profile_frame *const frames[] = {
	    &sample_load,  &sample_library, &sample_library, &sample_library, &sample_log,
	    &sample_parse, &sample_serve,   &sample_xmalloc, &sample_main};

	options.sections = SECTION_ALLOCATIONS;
	options.top = 4; /* the load_table site is the last by allocations */
	sites[1].stack = (struct profile_stack){
	    .frames = frames, .count = 9, .site_frame = 0, .truncated = false};
	check_has("        load_table        db.c:120\n"
		  "        ... 3 without a name\n"
		  "        log_line          log.c:31 (inlined)\n"
		  "        parse_expression  parse.c:55\n"
		  "        serve             serve.c:80\n"
		  "        ... 2 more frames\n");
	options.full_names = true;
	check_lacks("without a name");
	options.full_names = false;
	sites[1].stack.count = 4;
	options.depth = 0;
	check_lacks("without a name");
}
END_TEST

START_TEST(test_without_names)
{
	static const struct profile_frame *const frames[] = {&sample_library, &sample_library,
							     &sample_main};

	check_lacks("debug symbols");
	sites[1].stack = (struct profile_stack){
	    .frames = frames, .count = 3, .site_frame = 0, .truncated = false};
	profile.totals.temporary = 0;
	sites[2].verdict = VERDICT_IN_USE;
	check_has("\nPeak: 97 % in libpq.so.5+0xbeef, called under main\n");
	check_has("\nUnnamed: 97 % of the peak; install debug symbols of libpq.so.5 (-dbgsym), or "
		  "try --debuginfod\n");
	check_lacks("without a name");
	/* Less than half of the peak is no headline. */
	profile.totals.peak_bytes *= 3;
	check_lacks("Unnamed");
	check_has("\nWarnings\n  32 % of the peak is in functions without a name: for libpq.so.5 "
		  "install debug symbols\n");
}
END_TEST

/* Who mapped memory is listed; where that is more than the heap, it is said first. */
START_TEST(test_own_mappings)
{
	static const struct profile_frame *const frames[] = {&sample_load, &sample_main};
	struct profile_site maps[2] = {sites[1], sites[2]};

	maps[0].stack = (struct profile_stack){
	    .frames = frames, .count = 2, .site_frame = 0, .truncated = false};
	maps[0].peak_bytes = 15 << 20;
	maps[0].peak_blocks = 1;
	maps[1].peak_bytes = 5 << 20;
	maps[1].peak_blocks = 7;
	profile.map_sites = maps;
	profile.map_site_count = 2;
	profile.totals.maps = 1;
	profile.totals.map_bytes = profile.totals.map_peak_bytes = 20 << 20;
	check_has("\nLeaks: 1 site very likely");
	sites[2].verdict = VERDICT_IN_USE;
	profile.totals.peak_rss_bytes = 30 << 20;
	check_has("\nOwn mappings: 20.0 MiB at most, more than the heap: 75 % in load_table "
		  "(db.c:120)\n");
	profile.totals.peak_rss_bytes = 12 << 20;
	check_has(
	    "\nOwn mappings: 20.0 MiB at most, part of it only reserved (12.0 MiB resident in "
	    "all): 75 % in load_table (db.c:120)\n");
	options.sections = SECTION_MAPS;
	check_has("\nOwn mappings: 1 anonymous mmap of 20.0 MiB, 20.0 MiB at most, 0 B at the end\n"
		  "\n  1.    75 %    15.0 MiB  in 1 block\n        load_table  db.c:120\n"
		  "        main        main.c:22\n"
		  "\n  2.    25 %     5.0 MiB  in 7 blocks\n        log_line ");
	profile.totals.map_peak_bytes = 8 << 20;
	check_has("\nChurn: ");
}
END_TEST

START_TEST(test_full_stacks)
{
	options.full_names = true;
	options.depth = 0;
	check_has("        xmalloc     /src/db/util.c:7\n"
		  "        load_table  /src/db/db.c:120\n"
		  "        main        /src/db/main.c:22\n"
		  "        _start      /usr/lib/server/dbserve\n");
	options.confidential = true;
	check_lacks("/usr");
	check_lacks("/src");
	check_lacks("traces/");
	check_lacks("my data");
	check_has("dbserve\npid 4242");
}
END_TEST

/* One long name must not push the places of all others off the screen. */
START_TEST(test_full_names_are_not_padded)
{
	static char name[300], expected[400];
	static const struct profile_frame shown = {.function = name, .file = "/x.c", .line = 3};
	static const struct profile_frame *const frames[] = {&shown, &sample_main};

	memset(name, 'n', sizeof(name) - 1);
	sites[1].stack = (struct profile_stack){
	    .frames = frames, .count = 2, .site_frame = 0, .truncated = false};
	options.full_names = true;
	options.depth = 0;
	snprintf(expected, sizeof(expected), "        %s  /x.c:3\n        main%58s/src", name, "");
	check_has(expected);
}
END_TEST

START_TEST(test_color)
{
	check_lacks("\x1b");
	options.color = true;
	check_has("\x1b[1mload_table\x1b[0m");
}
END_TEST

/* Long names are cut so that lines fit; what is hostile is visible and harmless. */
START_TEST(test_hostile_and_long)
{
	static char name[6000], cmdline[3000];
	struct profile_frame frame = {
	    .function = name, .file = "/x/\x1b[2Jy\nz.c", .line = 9, .module = "/\x1b]0;m\a"};
	const struct profile_frame *frames[] = {&frame, &sample_main};
	char *all, *line, *rest;

	memset(name, 'n', sizeof(name) - 1);
	memcpy(name, "\x1b[31m\n\xff\xe2\x80\xae<script>", 18);
	memset(cmdline, 'c', sizeof(cmdline) - 1);
	cmdline[5] = '\r';
	profile.process.cmdline = cmdline;
	profile.process.end = "\x1b[1m";
	options.trace = "\x1b[1m";
	for (size_t i = 0; i < SAMPLE_SITES; i++) {
		sites[i].stack = (struct profile_stack){
		    .frames = frames, .count = 2, .site_frame = i % 2, .truncated = false};
		sites[i].peak_bytes++;
	}
	profile.process.exe = "\x1b[1m";
	snprintf(profile.damage.first, sizeof(profile.damage.first), "\x1b[1m\n");
	profile.damage.cut = true;
	all = rest = report();
	while ((line = strsep(&rest, "\n"))) {
		for (const char *at = line, *end = line + strlen(line); at < end;)
			ck_assert(!escape_hostile(escape_next(&at, end)));
		ck_assert_uint_le(escape_terminal_columns(line), 100);
	}
	free(all);
}
END_TEST

static const struct {
	const char *name, *fits, *shorter, *shortest;
} names[] = {
    {"plain_c_name", "plain_c_name", "plain_c_name", "plain_c_name"},
    {"ns::f(int, char const*)", "ns::f(int, char const*)", "ns::f(...)", "ns::f(...)"},
    {"std::vector<int, std::allocator<int> >::push_back(int&&)",
     "std::vector<int, std::allocator<int> >::push_back(int&&)",
     "std::vector<int, std::allocator<int> >::push_back(...)", "std::vector<...>::push_back(...)"},
    {"void f<int>(std::function<void (int)>)", "void f<int>(std::function<void (int)>)",
     "f<int>(...)", "f<...>(...)"},
    {"(anonymous namespace)::g(int, int)", "(anonymous namespace)::g(int, int)",
     "(anonymous namespace)::g(...)", "(anonymous namespace)::g(...)"},
    {"S::operator()(int, int) const", "S::operator()(int, int) const", "S::operator()(...) const",
     "S::operator()(...) const"},
    {"std::ostream& operator<< <char>(std::ostream&, char)",
     "std::ostream& operator<< <char>(std::ostream&, char)", "operator<< <char>(...)",
     "operator<< <...>(...)"},
    {"operator new(unsigned long)", "operator new(unsigned long)", "operator new(...)",
     "operator new(...)"},
    {"alloc::vec::Vec<T,A>::push", "alloc::vec::Vec<T,A>::push", "alloc::vec::Vec<T,A>::push",
     "alloc::vec::Vec<...>::push"},
    {"<alloc::string::String as core::convert::From<&str>>::from",
     "<alloc::string::String as core::convert::From<&str>>::from",
     "<alloc::string::String as core::convert::From<...>>::from",
     "<alloc::string::String as core::convert::From<...>>::from"},
    {"<(A, B) as Get<X>>::get::<u8>", "<(A, B) as Get<X>>::get::<u8>",
     "<(...) as Get<X>>::get::<u8>", "<(...) as Get<...>>::get::<...>"},
    {"<A as <B<u8, E> as C>::D>::f", "<A as <B<u8, E> as C>::D>::f", "<A as <B<...> as C>::D>::f",
     "<A as <B<...> as C>::D>::f"},
    {"core::str::<impl str>::parse::<Vec<i32>>", "core::str::<impl str>::parse::<Vec<i32>>",
     "core::str::<impl str>::parse::<...>", "core::str::<impl str>::parse::<...>"},
    {"<fn() -> Vec<u8, Global> as F>::call", "<fn() -> Vec<u8, Global> as F>::call",
     "<fn(...) -> Vec<...> as F>::call", "<fn(...) -> Vec<...> as F>::call"},
    {"broken<<<(((", "broken<<<(((", "broken<<<(", "broken<"},
};

START_TEST(test_names)
{
	char to[256];

	text_shorten(to, sizeof(to), names[_i].name, strlen(names[_i].name));
	ck_assert_str_eq(to, names[_i].fits);
	text_shorten(to, sizeof(to), names[_i].name, strlen(names[_i].shorter));
	ck_assert_str_eq(to, names[_i].shorter);
	text_shorten(to, sizeof(to), names[_i].name, 1);
	ck_assert_str_eq(to, names[_i].shortest);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("write_text");
	TCase *tests = tcase_create("text");

	tcase_add_checked_fixture(tests, setup, NULL);
	tcase_add_test(tests, test_exact);
	tcase_add_test(tests, test_same_whatever_the_order);
	tcase_add_test(tests, test_sections_and_sites);
	tcase_add_test(tests, test_grouped_by_site);
	tcase_add_loop_test(tests, test_ends, 0, sizeof(ends) / sizeof(ends[0]));
	tcase_add_test(tests, test_verdicts);
	tcase_add_test(tests, test_warnings);
	tcase_add_test(tests, test_recursion_and_depth);
	tcase_add_test(tests, test_split_functions);
	tcase_add_test(tests, test_repeated_wrappers);
	tcase_add_test(tests, test_forked);
	tcase_add_test(tests, test_nameless_run);
	tcase_add_test(tests, test_without_names);
	tcase_add_test(tests, test_own_mappings);
	tcase_add_test(tests, test_full_stacks);
	tcase_add_test(tests, test_full_names_are_not_padded);
	tcase_add_test(tests, test_color);
	tcase_add_test(tests, test_hostile_and_long);
	tcase_add_loop_test(tests, test_names, 0, sizeof(names) / sizeof(names[0]));
	suite_add_tcase(suite, tests);
	return support_run(suite);
}
