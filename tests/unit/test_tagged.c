/*
 * Pointers whose top byte is a tag (aarch64's TBI and MTE, x86's LAM and UAI) are addresses like
 * others: all 64 bits count, in rings, in columns and in the table of live blocks.
 */
#include "check_load.h"
#include "check_support.h"
#include "profile.h"
#include "trace_builder.h"

#include <check.h>
#include <stdlib.h>

#define ADDRESS UINT64_C(0x00007fdeadbe0010)
#define TAGS	16

static uint64_t tagged(uint64_t tag)
{
	return ADDRESS | tag << 56 | tag << 60;
}

/* One block for each tag, all of the same low bits; those of odd tags are freed. */
static struct profile *load(enum trace_compression compression, bool flush)
{
	static const struct profile_options options = {0};
	struct trace_builder *builder = trace_builder_new();
	uint32_t ring = trace_builder_ring(builder, 0, 1000);
	uint32_t node = trace_builder_node(builder, 0, UINT64_C(0xb400000000001001));

	for (uint64_t tag = 0; tag < TAGS; tag++)
		trace_builder_acquire(builder, ring, tag + 1, TRACE_EVENT_MALLOC, tagged(tag),
				      UINT64_C(1) << tag, node);
	for (uint64_t tag = 1; tag < TAGS; tag += 2)
		trace_builder_release(builder, ring, 100 + tag, TRACE_EVENT_FREE, tagged(tag));
	if (flush)
		trace_builder_flush(builder, ring, compression, 0, 0);
	return load_profile(builder, &options);
}

START_TEST(tags_count)
{
	/* _i: from the ring, from columns, from compressed columns */
	struct profile *profile =
	    load(_i == 2 ? TRACE_COMPRESSION_ZSTD : TRACE_COMPRESSION_NONE, _i != 0);

	ck_assert_uint_eq(profile->totals.allocations, TAGS);
	ck_assert_uint_eq(profile->totals.frees, TAGS / 2);
	ck_assert_uint_eq(profile->totals.foreign_frees, 0);
	ck_assert_uint_eq(profile->totals.lost_events, 0);
	ck_assert_uint_eq(profile->totals.live_bytes_end, 0x5555);
	ck_assert_uint_eq(profile->totals.peak_bytes, 0xffff);
	ck_assert_uint_eq(profile->site_count, 1);
	/* Code outside any module is named by its whole address. */
	ck_assert_uint_eq(profile->sites[0].stack.frames[0]->offset, 0xb400000000001000);
	profile_free(profile);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tagged");
	TCase *tcase = tcase_create("tagged");

	tcase_add_loop_test(tcase, tags_count, 0, 3);
	suite_add_tcase(suite, tcase);
	return support_run(suite);
}
