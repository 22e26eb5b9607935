/* The JSON report: exact text, exact sums, and nothing hostile that a parser would choke on. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check_support.h"
#include "sample_profile.h"

static struct profile_site sites[SAMPLE_SITES];
static struct profile profile;
static struct writer_options options;

static void setup(void)
{
	profile = sample_profile(sites);
	options = (struct writer_options){.top = WRITER_TOP_DEFAULT};
}

/* Feeds text to a program and returns its exit status. */
static int fed(const char *program, const char *text)
{
	FILE *pipe = popen(program, "w");

	ck_assert_ptr_nonnull(pipe);
	fputs(text, pipe);
	return WEXITSTATUS(pclose(pipe));
}

START_TEST(test_exact)
{
	static const char expected[] =
	    "{\n"
	    "  \"schema\": \"memprof-report/1\",\n"
	    "  \"process\": {\"pid\":4242,\"exe\":\"/usr/lib/server/dbserve\",\"cmdline\":"
	    "\"dbserve --port 80 '/srv/my data'\",\"host\":\"db1.example.org\",\"threads\":2,"
	    "\"end\":\"exit\",\"end_status\":0,\"stopped\":null,\"start_realtime_ns\":0},\n"
	    "  \"totals\": {\n"
	    "    \"allocations\": 120113,\n"
	    "    \"frees\": 120001,\n"
	    "    \"reallocs\": 3,\n"
	    "    \"bytes_allocated\": 11010048,\n"
	    "    \"peak_bytes\": 8650752,\n"
	    "    \"peak_blocks\": 113,\n"
	    "    \"peak_time_s\": 3.250000000,\n"
	    "    \"live_bytes_end\": 278528,\n"
	    "    \"live_blocks_end\": 112,\n"
	    "    \"temporary\": 110000,\n"
	    "    \"foreign_frees\": 0,\n"
	    "    \"mismatched_frees\": 0,\n"
	    "    \"failed\": 0,\n"
	    "    \"duration_s\": 5.125000000,\n"
	    "    \"events\": 240114,\n"
	    "    \"lost_events\": 0,\n"
	    "    \"maps\": 0,\n"
	    "    \"map_bytes\": 0,\n"
	    "    \"map_peak_bytes\": 0,\n"
	    "    \"map_live_bytes_end\": 0,\n"
	    "    \"peak_rss_bytes\": 12582912\n"
	    "  },\n"
	    "  \"unwind\": {\"checked\":0,\"mismatches\":0,\"fallbacks\":0,\"truncated\":0},\n"
	    "  \"damage\": {\"bad_segments\":0,\"bad_bytes\":0,\"lost_events\":0,\"cut\":false,"
	    "\"first\":null},\n"
	    "  \"map_sites\": [],\n"
	    "  \"site_count\": 4,\n"
	    "  \"sites\": [\n"
	    "    {\"stack\":[{\"function\":null,\"file\":null,\"line\":null,\"module\":"
	    "\"/lib/x86_64-linux-gnu/libpq.so.5\",\"offset\":48879,\"inlined\":false},"
	    "{\"function\":\"main\",\"file\":\"/src/db/main.c\",\"line\":22,\"module\":"
	    "\"/usr/lib/server/dbserve\",\"offset\":4352,\"inlined\":false},"
	    "{\"function\":\"_start\",\"file\":null,\"line\":null,\"module\":"
	    "\"/usr/lib/server/dbserve\",\"offset\":4096,\"inlined\":false}],"
	    "\"site_frame\":0,\"truncated\":false,\"allocations\":12,\"bytes\":16384,"
	    "\"peak_bytes\":16384,\"peak_blocks\":12,\"live_bytes\":16384,\"live_blocks\":12,"
	    "\"temporary\":0,\"frees\":0,\"failed\":0,\"first_s\":0.001000000,"
	    "\"last_s\":0.002000000,\"trend_bytes\":[0,0,0,0,0,0,0,0],\"verdict\":\"growing\"},\n"
	    "    {\"stack\":[],\"other_sites\":3,\"allocations\":120101,\"bytes\":10993664,"
	    "\"peak_bytes\":8634368,\"peak_blocks\":101,\"live_bytes\":262144,"
	    "\"live_blocks\":100,\"temporary\":110000,\"frees\":120001,\"failed\":0}\n"
	    "  ]\n"
	    "}\n";
	char *text;

	options.top = 1;
	options.sort = RANKING_LEAK;
	sites[2].verdict = VERDICT_REMNANT;
	sites[3].verdict = VERDICT_GROWING; /* fewer bytes, but the likelier leak: comes first */
	text = sample_written(&writer_json, &profile, &options);
	ck_assert_str_eq(text, expected);
	free(text);
}
END_TEST

static uint64_t sum_of(const char *text, const char *key)
{
	const char *at = strstr(text, "\"sites\"");
	uint64_t sum = 0;

	while ((at = strstr(at, key))) {
		at += strlen(key);
		sum += strtoull(at, NULL, 10);
	}
	return sum;
}

/* However many sites are listed, they sum to the totals. */
START_TEST(test_sums)
{
	for (size_t top = 0; top < SAMPLE_SITES + 2; top++) {
		char *text;

		options.top = top;
		text = sample_written(&writer_json, &profile, &options);
		ck_assert_uint_eq(sum_of(text, "\"allocations\":"), profile.totals.allocations);
		ck_assert_uint_eq(sum_of(text, "\"bytes\":"), profile.totals.bytes_allocated);
		ck_assert_uint_eq(sum_of(text, "\"peak_bytes\":"), profile.totals.peak_bytes);
		ck_assert_uint_eq(sum_of(text, "\"live_blocks\":"), profile.totals.live_blocks_end);
		ck_assert_uint_eq(sum_of(text, "\"temporary\":"), profile.totals.temporary);
		ck_assert_int_eq(fed("python3 -m json.tool >/dev/null", text), 0);
		ck_assert_int_eq(fed("jq -e '.sites | length > 0' >/dev/null", text), 0);
		free(text);
	}
}
END_TEST

START_TEST(test_map_sites)
{
	struct profile_site maps[2] = {sites[1], sites[2]};
	char *text;

	maps[0].peak_bytes = 1000;
	maps[1].peak_bytes = 3000;
	maps[1].peak_blocks = 2;
	profile.map_sites = maps;
	profile.map_site_count = 2;
	text = sample_written(&writer_json, &profile, &options);
	ck_assert_int_eq(fed("jq -e '.map_sites | length == 2 and .[0].peak_bytes == 3000 and "
			     ".[0].peak_pieces == 2 and .[0].stack[0].function == \"log_line\" and "
			     ".[1].maps == 1 and .[1].peak_bytes == 1000 and .[1].site_frame == 1' "
			     ">/dev/null",
			     text),
			 0);
	free(text);
}
END_TEST

/* Without -n the list ends at 10,000 sites and one that holds the others. */
START_TEST(test_many_sites)
{
	enum { MANY = 12345 };
	struct profile_site *many = calloc(MANY, sizeof(*many));
	char *text;

	for (size_t i = 0; i < MANY; i++) {
		many[i] = sites[1];
		many[i].peak_bytes = 1 + i % 7;
	}
	profile.sites = many;
	profile.site_count = MANY;
	text = sample_written(&writer_json, &profile, &options);
	ck_assert_ptr_nonnull(strstr(text, "\"other_sites\":2345,"));
	ck_assert_int_eq(fed("jq -e '(.sites | length) == 10001 and .site_count == 12345 and "
			     "([.sites[].allocations] | add) == 12345' >/dev/null",
			     text),
			 0);
	free(text);
	free(many);
}
END_TEST

START_TEST(test_empty)
{
	char *text;

	memset(&profile, 0, sizeof(profile));
	profile.process.end_status = -1;
	text = sample_written(&writer_json, &profile, &options);
	ck_assert_int_eq(fed("jq -e '.sites == [] and .process.end_status == null and "
			     "(.process.cmdline | type) == \"string\"' >/dev/null",
			     text),
			 0);
	free(text);
}
END_TEST

#define HOSTILE "\x1b[2J\n\"</script>\\\xff\xe2\x80\xae\x01"

START_TEST(test_hostile_strings)
{
	static const struct profile_frame frame =
	    SAMPLE_FRAME(HOSTILE, HOSTILE, 1, HOSTILE, 1, false);
	static const struct profile_frame *const frames[] = {&frame};
	char *text;

	sites[0].stack = (struct profile_stack){
	    .frames = frames, .count = 1, .site_frame = 0, .truncated = true};
	profile.process.exe = profile.process.cmdline = profile.process.host = HOSTILE;
	profile.process.end = HOSTILE;
	snprintf(profile.damage.first, sizeof(profile.damage.first), "%s", HOSTILE);
	profile.totals.duration_s = 0.0 / 0.0;
	profile.totals.peak_time_s = 1.0 / 0.0;
	text = sample_written(&writer_json, &profile, &options);
	ck_assert_int_eq(
	    fed("python3 -c 'import json, sys\n"
		"report = json.load(sys.stdin)\n"
		"hostile = \"\\x1b[2J\\n\\\"</script>\\\\\\ufffd\\u202e\\x01\"\n"
		"frame = [s for s in report[\"sites\"] if s[\"truncated\"]][0][\"stack\"][0]\n"
		"assert frame[\"function\"] == frame[\"module\"] == hostile, frame\n"
		"assert report[\"process\"][\"cmdline\"] == hostile\n"
		"assert report[\"damage\"][\"first\"] == hostile'",
		text),
	    0);
	ck_assert_int_eq(fed("jq . >/dev/null", text), 0);
	for (const char *at = text; *at; at++)
		ck_assert(*at == '\n' || (*at >= ' ' && *at < 0x7f));
	free(text);
}
END_TEST

START_TEST(test_confidential)
{
	char *text;

	options.confidential = true;
	text = sample_written(&writer_json, &profile, &options);
	ck_assert_ptr_null(strstr(text, "my data"));
	ck_assert_ptr_null(strstr(text, "example.org"));
	ck_assert_ptr_null(strstr(text, "/src"));
	ck_assert_ptr_null(strstr(text, "/usr"));
	ck_assert_ptr_null(strstr(text, "/lib"));
	ck_assert_ptr_nonnull(strstr(text, "\"libpq.so.5\""));
	ck_assert_ptr_nonnull(strstr(text, "\"db.c\""));
	free(text);
}
END_TEST

START_TEST(test_folded)
{
	char *text = sample_written(&writer_folded, &profile, &options);

	ck_assert_str_eq(text, "_start;main;load_table;xmalloc 8372224\n"
			       "_start;main;serve;log_line_[i] 262144\n"
			       "_start;main;[libpq.so.5+0xbeef] 16384\n");
	free(text);
	options.metric = RANKING_ALLOCATIONS;
	options.top = 2;
	text = sample_written(&writer_folded, &profile, &options);
	ck_assert_str_eq(text, "_start;main;serve;parse_expression;parse_expression;"
			       "parse_expression;parse_expression;parse_expression 120000\n"
			       "_start;main;serve;log_line_[i] 100\n"
			       "[other sites] 13\n");
	free(text);
}
END_TEST

START_TEST(test_folded_hostile)
{
	static const struct profile_frame frame =
	    SAMPLE_FRAME("f;<[u8; 4]>\n\x1b", NULL, 0, NULL, 1, false);
	static const struct profile_frame *const frames[] = {&frame};
	char *text;

	sites[1].stack = (struct profile_stack){
	    .frames = frames, .count = 1, .site_frame = 0, .truncated = true};
	profile.sites = &sites[1];
	profile.site_count = 1;
	text = sample_written(&writer_folded, &profile, &options);
	ck_assert_str_eq(text, "[truncated];f,<[u8, 4]>\\n\\x1b 8372224\n");
	free(text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("write_json");
	TCase *tests = tcase_create("json and folded");

	tcase_add_checked_fixture(tests, setup, NULL);
	tcase_add_test(tests, test_exact);
	tcase_add_test(tests, test_sums);
	tcase_add_test(tests, test_map_sites);
	tcase_add_test(tests, test_many_sites);
	tcase_add_test(tests, test_empty);
	tcase_add_test(tests, test_hostile_strings);
	tcase_add_test(tests, test_confidential);
	tcase_add_test(tests, test_folded);
	tcase_add_test(tests, test_folded_hostile);
	tcase_set_timeout(tests, 60);
	suite_add_tcase(suite, tests);
	return support_run(suite);
}
