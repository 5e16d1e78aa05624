/*
 * Statuses, and this thread's last error text.
 *
 * The enum is for the program, the text for the person. Whoever first sees a failure
 * describes it with status_fail; everyone above passes the status on unchanged, and
 * clean-up code never overwrites the text.
 *
 * Threads: the text is thread-local; an error that crosses threads is carried by a
 * struct status_note.
 */
#ifndef BITCASK_BASE_STATUS_H
#define BITCASK_BASE_STATUS_H

#include "bitcask.h"

/* Room for the text of an error, its terminating zero included. */
#define STATUS_TEXT_MAX 512

/* Record the text of a failure and return `status`: return status_fail(...). */
enum bitcask_status status_fail(enum bitcask_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* This thread's error text, put aside by clean-up code that may fail itself. */
struct status_text {
  char text[STATUS_TEXT_MAX];
};
struct status_text status_text_keep(void);
void status_text_restore(const struct status_text *kept);

/* Pass a failure on unchanged. The only macro that returns. */
#define TRY(expression)                                   \
  do {                                                    \
    enum bitcask_status try_status_ = (expression);       \
    if (try_status_ != BITCASK_OK) return try_status_;    \
  } while (0)

/* Compiled into each caller: where a call takes longer than what is called. And never into one:
 * what is done seldom, so that the rest need not save anything for it. */
#define INLINE static inline __attribute__((always_inline))
#define SELDOM __attribute__((noinline, cold))

/* A failure that is kept: for another thread, or for later calls. */
struct status_note {
  enum bitcask_status status; /* BITCASK_OK: nothing is noted */
  char text[STATUS_TEXT_MAX];
};

/* Keep `status` with this thread's text, unless something is kept already. */
void status_note_take(struct status_note *note, enum bitcask_status status);

/* Make the kept failure this thread's, and return it. */
enum bitcask_status status_note_give(const struct status_note *note);

#endif
