/* What unwind_verify has to know of unwind_memo. */
#ifndef UNWIND_MEMO_H
#define UNWIND_MEMO_H

/* No less than unwind_memo.state_bytes. */
#define UNWIND_MEMO_STATE_BYTES (1U << 20)

#endif
