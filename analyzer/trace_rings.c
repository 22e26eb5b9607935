/*
 * A ring lies in a mapping that its owner writes while we read. `flushed` tells that the words read
 * were not given free meanwhile, `staged` that the stage was not emptied; either moved, all is read
 * once more.
 */
#include "trace_rings.h"

#include "trace_segments.h"
#include "trace_stage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RING_WORDS_MAX	 (8U * 1024 * 1024)
#define RINGS_WORDS_MAX	 (64U * 1024 * 1024)  /* of all: 8,000 live threads have so many */
#define RINGS_STAGES_MAX (512U * 1024 * 1024) /* bytes; the same threads' stages, full */
#define RING_READ_TRIES	 200

/* Where the parts of one ring lie in the file. */
struct place {
	const struct trace_head *head;
	uint64_t control;
	uint64_t data;
	uint64_t data_bytes; /* words and stage */
};

static struct place place_of(const struct trace_reader *reader, const struct trace_head *head)
{
	uint64_t data_offset = reader->header.page_size > TRACE_RING_DATA_OFFSET
				   ? reader->header.page_size
				   : TRACE_RING_DATA_OFFSET;

	return (struct place){
	    .head = head,
	    .control = head->offset + sizeof(head->segment),
	    .data = head->offset + data_offset,
	    .data_bytes = head->segment.bytes > data_offset ? head->segment.bytes - data_offset : 0,
	};
}

/* What the file does not have is 0. */
static bool read_control(const struct trace_reader *reader, const struct place *place,
			 struct trace_ring *control)
{
	memset(control, 0, sizeof(*control));
	return trace_file_read(&reader->file, place->control, control, sizeof(*control)) ==
	       sizeof(*control);
}

static bool control_sound(const struct trace_reader *reader, const struct place *place,
			  const struct trace_ring *control)
{
	uint64_t words = control->head - control->flushed;

	/* Made just now, or never. */
	if (control->head == 0 && control->flushed == 0 && control->word_bytes == 0)
		return true;
	return control->head >= control->flushed && control->word_bytes != 0 &&
	       control->word_bytes <= place->data_bytes &&
	       control->word_bytes % sizeof(uint64_t) == 0 &&
	       words <= control->word_bytes / sizeof(uint64_t) && words <= RING_WORDS_MAX &&
	       words <= RINGS_WORDS_MAX - reader->ring_words;
}

static int copy_words(const struct trace_reader *reader, const struct place *place,
		      struct trace_ring_copy *copy)
{
	size_t count = copy->control.head - copy->control.flushed;

	free(copy->words);
	copy->words = malloc(count * sizeof(uint64_t) + 1);
	if (copy->words == NULL)
		return -ENOMEM;
	copy->word_count =
	    trace_file_read(&reader->file, place->data, copy->words, count * sizeof(uint64_t)) /
	    sizeof(uint64_t);
	return 0;
}

/* Reads the stage as it lies there into `scratch`; sets *got. */
static int read_stage(const struct trace_reader *reader, const struct place *place,
		      const struct trace_ring *control, struct trace_scratch *scratch, size_t *got)
{
	uint64_t bytes = place->data_bytes - control->word_bytes;

	*got = 0;
	if (control->staged >= control->flushed)
		return 0;
	if (bytes > TRACE_PAYLOAD_BYTES_MAX)
		bytes = TRACE_PAYLOAD_BYTES_MAX;
	if (trace_scratch_reserve(scratch, bytes) != 0)
		return -ENOMEM;
	*got = trace_file_read(&reader->file, place->data + control->word_bytes, scratch->bytes,
			       bytes);
	return 0;
}

/*
 * Copies control block, words and stage. Returns 0, -EAGAIN when the owner moved meanwhile,
 * -EINVAL when the ring is unsound, -ENOMEM.
 */
static int try_copy(const struct trace_reader *reader, const struct place *place,
		    struct trace_ring_copy *copy, struct trace_scratch *scratch)
{
	struct trace_ring *control = &copy->control, after;
	bool whole = read_control(reader, place, control);
	size_t got;
	int rc;

	if (!whole) {
		/* The file ends here. */
		copy->held_from = UINT64_MAX;
		return 0;
	}
	if (!control_sound(reader, place, control))
		return -EINVAL;
	rc = copy_words(reader, place, copy);
	if (rc == 0 && read_control(reader, place, &after) &&
	    (after.flushed != control->flushed || after.flushed_events != control->flushed_events))
		rc = -EAGAIN;
	if (rc == 0)
		rc = read_stage(reader, place, control, scratch, &got);
	if (rc == 0 && read_control(reader, place, &after) && after.staged != control->staged)
		rc = -EAGAIN;
	if (rc != 0)
		return rc;
	rc = trace_stage_join(&copy->stage, scratch->bytes, got, copy->index, control);
	/* All of the stage was there, and what was to follow was not. */
	if (copy->stage.state == TRACE_STAGE_CUT && !place->head->cut)
		copy->stage.state = TRACE_STAGE_UNSOUND;
	copy->held_from =
	    copy->stage.state == TRACE_STAGE_WHOLE && control->staged < control->flushed
		? control->staged
		: control->flushed;
	return rc;
}

static void forget(struct trace_ring_copy *copy)
{
	free(copy->words);
	copy->words = NULL;
	copy->word_count = 0;
	free(copy->stage.payload);
	copy->stage = (struct trace_stage){.state = TRACE_STAGE_WHOLE};
	/* How many events it had is not to be compared with what segments have. */
	copy->control.flushed_events = 0;
}

static int copy_ring(struct trace_reader *reader, const struct trace_head *head,
		     struct trace_ring_copy *copy, struct trace_scratch *scratch)
{
	struct place place = place_of(reader, head);
	int rc = -EAGAIN;

	/* A control block that makes no sense may have changed while it was read. */
	for (int tries = 0; tries < RING_READ_TRIES && (rc == -EAGAIN || rc == -EINVAL); tries++)
		rc = try_copy(reader, &place, copy, scratch);
	if (rc == -EINVAL) {
		trace_segment_bad(reader, head, "unsound ring");
		forget(copy);
		/* Which words it had is unknown. */
		copy->control.flushed = UINT64_MAX;
		copy->held_from = UINT64_MAX;
		return 0;
	}
	if (rc == -EAGAIN) {
		/* It never stood still: what it holds now comes after what we report. */
		forget(copy);
		copy->held_from = copy->control.staged < copy->control.flushed
				      ? copy->control.staged
				      : copy->control.flushed;
		return 0;
	}
	if (copy->stage.payload_bytes > RINGS_STAGES_MAX - reader->stage_bytes) {
		free(copy->stage.payload);
		copy->stage = (struct trace_stage){.state = TRACE_STAGE_UNSOUND};
		copy->held_from = copy->control.flushed;
	}
	return rc;
}

static int add_ring(struct trace_reader *reader, const struct trace_head *head,
		    struct trace_scratch *scratch)
{
	struct trace_ring_copy copy = {.index = head->segment.index, .offset = head->offset};
	void *larger = trace_grow(reader->rings, reader->ring_count, sizeof(*reader->rings));

	if (larger == NULL)
		return -ENOMEM;
	reader->rings = larger;
	if (copy_ring(reader, head, &copy, scratch) != 0) {
		free(copy.words);
		free(copy.stage.payload);
		return -ENOMEM;
	}
	reader->ring_words += copy.word_count;
	reader->stage_bytes += copy.stage.payload_bytes;
	reader->rings[reader->ring_count++] = copy;
	return 0;
}

static void free_ring(struct trace_ring_copy *copy)
{
	free(copy->words);
	free(copy->stage.payload);
}

static int compare_rings(const void *a, const void *b)
{
	const struct trace_ring_copy *x = a, *y = b;

	if (x->index != y->index)
		return x->index < y->index ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void sort_rings(struct trace_reader *reader)
{
	size_t kept = 0;

	if (reader->ring_count == 0)
		return;
	qsort(reader->rings, reader->ring_count, sizeof(*reader->rings), compare_rings);
	for (size_t i = 0; i < reader->ring_count; i++) {
		if (kept != 0 && reader->rings[kept - 1].index == reader->rings[i].index) {
			trace_damage_add(&reader->damage, 0, "two rings with number %u",
					 reader->rings[i].index);
			free_ring(&reader->rings[i]);
		} else {
			reader->rings[kept++] = reader->rings[i];
		}
	}
	reader->ring_count = kept;
}

int trace_rings_copy(struct trace_reader *reader)
{
	struct trace_scratch scratch = {0};
	struct trace_scan scan;
	struct trace_head head;
	int rc = 0;

	trace_scan_init(&scan, &reader->file);
	while (rc == 0 && trace_scan_next(&scan, &head))
		if (head.segment.type == TRACE_SEGMENT_RING)
			rc = add_ring(reader, &head, &scratch);
	free(scratch.bytes);
	sort_rings(reader);
	return rc;
}

void trace_rings_free(struct trace_reader *reader)
{
	for (size_t i = 0; i < reader->ring_count; i++)
		free_ring(&reader->rings[i]);
	free(reader->rings);
}

static int compare_index(const void *key, const void *element)
{
	uint32_t index = *(const uint32_t *)key;
	uint32_t other = ((const struct trace_ring_copy *)element)->index;

	return index < other ? -1 : index > other;
}

bool trace_rings_hold(const struct trace_reader *reader, uint32_t ring, uint64_t from, uint64_t to)
{
	const struct trace_ring_copy *copy = NULL;

	if (reader->ring_count != 0)
		copy = bsearch(&ring, reader->rings, reader->ring_count, sizeof(*reader->rings),
			       compare_index);
	return copy != NULL && from >= copy->held_from &&
	       (reader->running || to <= copy->control.flushed + copy->word_count);
}

/* Adds the stage unless segments, the last of which reaches to `until`, have its events. */
static int add_stage(struct trace_reader *reader, const struct trace_ring_copy *ring,
		     uint64_t until)
{
	bool apart = until <= ring->control.staged;
	bool sound = ring->stage.state != TRACE_STAGE_UNSOUND && apart;
	int rc = 0;

	/* None, or a kill between the segment and giving the stage free. */
	if (ring->control.staged >= ring->control.flushed || until >= ring->control.flushed)
		return 0;
	if (ring->stage.payload != NULL && apart)
		rc = trace_segment_add_events(reader, ring->stage.payload,
					      ring->stage.payload_bytes, ring->offset, true);
	if (rc == -ENOMEM)
		return rc;
	if (rc != 0 || !sound)
		trace_damage_add(&reader->damage, ring->stage.payload_bytes,
				 "unsound stage of the ring at offset %llu",
				 (unsigned long long)ring->offset);
	return 0;
}

int trace_rings_add_stages(struct trace_reader *reader)
{
	size_t segments = reader->event_segments, i = 0;

	for (size_t ring = 0; ring < reader->ring_count; ring++) {
		uint32_t index = reader->rings[ring].index;
		uint64_t until = 0;
		int rc;

		for (; i < segments && reader->events[i].ring <= index; i++)
			if (reader->events[i].ring == index)
				until = reader->events[i].to;
		rc = add_stage(reader, &reader->rings[ring], until);
		if (rc != 0)
			return rc;
	}
	return 0;
}
