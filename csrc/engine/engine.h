/*
 * The engine: one open store, shared by all its handles in this process. Here are its parts, and
 * the segments it consists of; the other modules of engine/ are what can be done with it.
 *
 *   key ──hash──> keydir entry ──slot──> segment ──offset──> record
 *
 * Locks, in the order in which they may be taken:
 *   checkpoint_lock  one checkpoint at a time. Held across its I/O
 *   write_lock     the order of writes: versions, the active segment, what is pending.
 *                  Held across an append, and where a segment is sealed at once.
 *   closing_lock   one replaced segment at a time is closed. Held while that is done
 *   settle_lock    one full segment at a time is settled. Held across its flush and edit
 *   flush_lock     one flush of the open segments at a time
 *   manifest_lock  one edit at a time. Held across its I/O
 *   set_lock       the list of sealed segments and the slots
 *   active_lock    the pointer to the active segment
 *   delivery_lock  the segment that was made to be the next active one
 *   commit.lock    who flushes for all that wait until they are published; waits hold no other
 *   (a shard's lock in the keydir, under which a damaged checkpoint's shard is found out anew:
 *   then set_lock and active_lock are taken inside it; a queue's in the event hub)
 * Readers take none of them but a shard's: they enter the guard, look up, read, leave.
 */
#ifndef BITCASK_ENGINE_ENGINE_H
#define BITCASK_ENGINE_ENGINE_H

#include <stdalign.h>
#include <stdatomic.h>

#include "base/thread.h"
#include "engine/commit.h"
#include "engine/event.h"
#include "engine/expiry.h"
#include "engine/hash.h"
#include "store/guard.h"
#include "store/keydir.h"
#include "store/manifest.h"
#include "store/segment.h"

/* What puts leave free behind them for deletes, so that a full disk can be emptied. */
enum { ENGINE_HEADROOM = 16 << 10 };

/* The flusher flushes whenever this much was appended since. */
enum { ENGINE_FLUSH_AHEAD = 16 << 20 };

/* So many segments, and so many times the bytes of the largest, may be full and not durable yet,
 * before a writer waits for the oldest. Nobody was promised that they are; but all of it is read
 * again by the opening after a crash, and waited for by a sync: a gibibyte is a second or less of
 * either. Writers of large values are ahead of the disk by so much for the time of a burst. All of
 * them are open in the manifest, and so are the active one and the one that will be. */
enum { ENGINE_FULL_MAX = MANIFEST_OPEN_MAX - 2, ENGINE_FULL_TIMES = 4 };

/* What space is kept for, see engine/reserve. */
enum reserve_kind { RESERVE_WORK, RESERVE_EDIT, RESERVE_KINDS };

struct worker;

/* A write that is appended but not yet flushed (sync "always"), so that no reader sees it. */
struct pending_write {
  bitcask_bytes key;
  uint64_t hash;
  place at;
  uint64_t size;
  uint64_t version;
  uint64_t ticket;
  uint64_t expires; /* milliseconds since 1970; 0: never */
  bool is_tombstone;
  struct pending_write *next;
};

struct engine_counters {
  atomic_uint_least64_t puts, bytes_written, records_written, deletes, merges, syncs,
      merge_bytes_read, merge_bytes_written, merge_records_written, corruptions, failures;
};

struct engine {
  /* fixed once open */
  struct disk *disk;
  struct disk_directory *directory;
  struct bitcask_options options;
  struct hash hash;
  struct keydir *keydir;
  _Atomic(struct segment *) *slots; /* PLACE_SLOT_MAX + 1 of them; slot 0 stays empty */
  struct worker *worker; /* NULL: background work is done in the calls that cause it */
  struct worker *hinter;  /* for hint files; NULL too then */
  struct worker *flusher; /* for flushing and settling, which may not wait behind other
                             work; NULL too then */
  struct worker *helper; /* for what appends will need, behind neither; NULL: nothing is made
                            ahead */
  bool is_readonly;
  unsigned process; /* thread_process_generation() of the one that opened it */
  atomic_uint references;

  struct guard guard;
  struct event_hub events;
  struct expiry expiry;
  atomic_bool has_reserve[RESERVE_KINDS];
  atomic_bool is_short_of_space; /* the reserve had to be given up, or could not be made */
  struct mutex checkpoint_lock;
  /* Bytes and records written, and merges done, when the newest checkpoint was begun; what was
   * loaded beside one at open counts as written since. */
  atomic_int_least64_t checkpoint_bytes, checkpoint_records;
  atomic_uint_least64_t checkpoint_merges;
  atomic_uint_least64_t checkpoint_look; /* bytes written at which one may be due */
  atomic_bool is_checkpoint_queued; /* for the worker */

  /* What every write changes, away from what readers look at and close together: the cache lines
   * that go from one writing processor to the next. */
  alignas(64) struct mutex write_lock;
  struct segment *active GUARDED_BY(write_lock and active_lock); /* changed under both */
  atomic_uint_least64_t last_version;    /* the newest given out */
  uint64_t published_version GUARDED_BY(write_lock);
  atomic_uint_least64_t appended_ticket; /* of the newest append */
  struct engine_counters counters;
  uint64_t died_bytes GUARDED_BY(write_lock); /* since the policy was last worth asking */
  uint64_t consult_length GUARDED_BY(write_lock); /* the active segment's, when it is so again */
  struct pending_write *pending_first GUARDED_BY(write_lock);
  struct pending_write **pending_last GUARDED_BY(write_lock);
  unsigned pending_count GUARDED_BY(write_lock);
  bool is_active_closed GUARDED_BY(write_lock); /* the manifest says: closed cleanly */
  struct segment *prepared GUARDED_BY(write_lock); /* to be the next active one; NULL: none yet */
  bool is_prepare_asked GUARDED_BY(write_lock);
  atomic_bool is_ahead_queued; /* for the helper */
  bool has_prepare_failed GUARDED_BY(write_lock); /* it is asked for again for the next segment */
  struct mutex delivery_lock;
  struct condition delivered;
  bool is_delivered GUARDED_BY(delivery_lock); /* what was asked for, and is not collected yet */
  struct segment *delivery GUARDED_BY(delivery_lock); /* NULL: it could not be made */
  uint64_t *snapshots GUARDED_BY(write_lock); /* versions of the open ones, rising */
  size_t snapshot_count GUARDED_BY(write_lock);
  size_t snapshot_capacity GUARDED_BY(write_lock);
  uint64_t releases GUARDED_BY(write_lock); /* of snapshots, since old entries were pruned */
  uint64_t last_interval_sync_us GUARDED_BY(write_lock);
  atomic_uint_least64_t seal_size; /* the active segment is sealed at; at most segment_size */

  struct mutex closing_lock;
  struct mutex settle_lock;

  struct mutex flush_lock;
  atomic_bool is_flush_queued; /* for the flusher */
  atomic_uint_least64_t durable_ticket;  /* every append up to it is flushed */

  struct commit commit; /* for writes that are pending */

  struct mutex manifest_lock;
  struct manifest manifest GUARDED_BY(manifest_lock);
  atomic_uint_least64_t newest_open; /* id of the last in its list of open segments */

  struct mutex set_lock;
  struct segment **sealed GUARDED_BY(set_lock); /* oldest first */
  size_t sealed_count GUARDED_BY(set_lock);
  size_t sealed_capacity GUARDED_BY(set_lock);
  size_t sealed_promised GUARDED_BY(set_lock); /* places that were promised and not taken yet */
  uint32_t slot_hint GUARDED_BY(set_lock);
  struct segment *full[ENGINE_FULL_MAX] GUARDED_BY(set_lock); /* oldest first, of the sealed: open
                                                  in the manifest, and not durable, yet */
  size_t full_count GUARDED_BY(set_lock);
  bool is_switching GUARDED_BY(set_lock); /* inputs and outputs of a merge are both sealed */
  struct segment *leaving GUARDED_BY(set_lock); /* replaced, without a name, to be closed */
  struct bitcask_merge *merge GUARDED_BY(set_lock); /* the one that is not ended; NULL: none */
  struct condition merge_ended; /* with set_lock */
  atomic_uint obsolete_count; /* obsolete segments that readers still hold */

  struct mutex active_lock;

  struct mutex stop_lock;
  atomic_bool is_stopped;
  struct status_note stop_note GUARDED_BY(stop_lock);
};

/* The parts, with nothing in them yet. Takes the directory over, on failure too. */
enum bitcask_status engine_new(const struct bitcask_options *options, struct disk *disk,
                               struct disk_directory *directory, struct engine **out);
struct engine *engine_ref(struct engine *engine);
void engine_unref(struct engine *engine); /* the last one frees it, whatever its state */

enum bitcask_status engine_refuse_process(void); /* for the next function alone */

/* INVALID in a forked child: what was opened before is the parent's. */
static inline enum bitcask_status engine_check_process(unsigned opened_by) {
  return thread_is_process(opened_by) ? BITCASK_OK : engine_refuse_process();
}

/* The space that puts leave free behind them. */
size_t engine_headroom(const struct engine *engine);

/* So much is free that nobody will miss what a few segments take for a moment. */
bool engine_has_room_to_spare(const struct engine *engine);

/* ---- Stopping ---- */

/* After a write or a flush whose outcome is unknown: nothing more is written until the store
 * is opened again. Keeps this thread's error text; returns `status`. */
enum bitcask_status engine_stop(struct engine *engine, enum bitcask_status status);

enum bitcask_status engine_refuse_writes(struct engine *engine); /* for the next one alone */

/* OK, or why nothing can be written. */
static inline enum bitcask_status engine_check_writable(struct engine *engine) {
  bool is_stopped = atomic_load_explicit(&engine->is_stopped, memory_order_acquire);
  return engine->is_readonly || is_stopped ? engine_refuse_writes(engine) : BITCASK_OK;
}

/* ---- Segments ---- */

/* Give the segment a slot. NOSPACE when a million are taken. */
enum bitcask_status engine_take_slot(struct engine *engine, struct segment *segment);

/* Take its slot away. It may be freed after that: who was looking at the slot has left the
 * guard. */
void engine_drop_slot(struct engine *engine, struct segment *segment);

/* The same without waiting: guard_wait is the caller's to call. */
void engine_clear_slot(struct engine *engine, struct segment *segment);

static inline struct segment *engine_segment(struct engine *engine, place at) {
  return atomic_load_explicit(&engine->slots[place_slot(at)], memory_order_acquire);
}

/* Promise `count` places in the list of sealed segments, so that taking them cannot fail
 * later, whatever others add meanwhile; and take a promise back. */
enum bitcask_status engine_promise_sealed(struct engine *engine, size_t count)
    EXCLUDES(engine->set_lock);
void engine_break_promise(struct engine *engine, size_t count) EXCLUDES(engine->set_lock);

/* Put a sealed segment into a place that was promised; the reference is taken over. */
void engine_add_sealed(struct engine *engine, struct segment *segment)
    REQUIRES(engine->set_lock);

/* A reference on the active segment, or NULL. */
struct segment *engine_ref_active(struct engine *engine);

/* A fresh id; never given out again. */
uint64_t engine_next_id(struct engine *engine);

/* Commit an edit; stops the engine when its outcome is unknown. */
enum bitcask_status engine_commit(struct engine *engine, bitcask_bytes items);

/* Add to a number that only one thread at a time changes, while others may read it: without
 * waiting, as a locked addition does, until all that was written before is in the cache. */
static inline void engine_add(atomic_uint_least64_t *number, uint64_t by) {
  atomic_store_explicit(number, atomic_load_explicit(number, memory_order_relaxed) + by,
                        memory_order_relaxed);
}

/* A record of the segment is live from now on, or no longer. */
static inline void engine_count_live(struct segment *segment, uint64_t size) {
  atomic_fetch_add_explicit(&segment->live_bytes, size, memory_order_relaxed);
  atomic_fetch_add_explicit(&segment->live_records, 1, memory_order_relaxed);
}
static inline void engine_count_dead(struct segment *segment, uint64_t size) {
  atomic_fetch_sub_explicit(&segment->live_bytes, size, memory_order_relaxed);
  atomic_fetch_sub_explicit(&segment->live_records, 1, memory_order_relaxed);
}

/* ---- Consulting ---- */

/* The policy is worth asking: a segment was sealed, or so much has died. */
void engine_note_consult(struct engine *engine) REQUIRES(engine->write_lock);

/* So many bytes have died. A quarter of a segment is enough to ask. */
static inline void engine_count_died(struct engine *engine, uint64_t size)
    REQUIRES(engine->write_lock) {
  engine->died_bytes += size;
  if (engine->died_bytes >= engine->options.segment_size / 4) engine_note_consult(engine);
}

/* What was dead already when the store was opened counts with the first bytes that die. */
void engine_count_died_before(struct engine *engine) EXCLUDES(engine->write_lock);

/* ---- Telling ---- */

void engine_report_damage(struct engine *engine, uint64_t segment_id, uint64_t offset,
                          uint64_t bytes, const char *message);
void engine_report_failure(struct engine *engine, enum bitcask_status status);
void engine_report(struct engine *engine, const struct bitcask_event *event);

#endif
