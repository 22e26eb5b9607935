/* What threads acquired last, against looking at all of them. */
#include <check.h>
#include <stdlib.h>

#include "check_support.h"
#include "replay_last.h"

#define THREADS 50

START_TEST(test_as_a_plain_list)
{
	uint64_t plain[THREADS + 1] = {0};
	struct replay_last last;
	bool same;

	srand(1);
	ck_assert_int_eq(replay_last_init(&last, THREADS), 0);
	for (size_t i = 0; i < 10000; i++) {
		uint32_t thread = (uint32_t)rand() % (THREADS + 1);
		uint64_t address = (uint64_t)(rand() % 100) << 4;

		ck_assert_uint_eq(replay_last_take(&last, thread), plain[thread]);
		replay_last_forget(&last, address);
		for (size_t other = 0; other <= THREADS; other++)
			if (plain[other] == address)
				plain[other] = 0;
		/* Most acquire something; what was theirs is theirs no more. */
		plain[thread] = rand() % 4 != 0 ? address : 0;
		replay_last_put(&last, thread, plain[thread]);
		same = true;
		for (size_t other = 0; other <= THREADS; other++)
			same &= last.addresses[other] == plain[other] &&
				(plain[other] == 0 ||
				 last.heads[replay_last_hash_of(plain[other], last.shift)] != 0);
		ck_assert(same);
	}
	replay_last_fini(&last);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("replay_last");
	TCase *tcase = tcase_create("replay_last");

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, test_as_a_plain_list);
	suite_add_tcase(suite, tcase);
	return support_run(suite);
}
