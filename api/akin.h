/* akin for programs in C and whatever calls C: trained models on pictures, similarity of tasks from tables, and the runs
   of `akin fit` and `akin distill`. libakin.so exports these functions and nothing else.

     akin_model *model;
     if (akin_load("student.safetensors", NULL, &model) != AKIN_OK) puts(akin_last_error());

   Results. A function that can fail returns AKIN_OK or one of the other codes below, and what it would have given is
   then left as it was; akin_last_error() says what was wrong. No C++ exception leaves the library.

   Memory. What a function fills belongs to the caller, who gives as many elements as the comment says. Handles are freed
   by the function beside them; texts (const char *) belong to their handle and live as long. Inputs are not kept.
   Matrices are dense, the last index runs fastest.

   Threads. Every function may be called from every thread at any time, but a handle that is being freed must not be in
   use. Calls with one model wait for each other; those with different models, and all else, run side by side. The
   threads that share the work of a call are one crew in a process: of calls that run side by side one has the crew, the
   others work in the thread that made them. A process that was forked may go on using handles of before the fork, if no
   call was running at the time of it. Text of errors is kept for each thread.

   Numbers. Results are those of the command line to the bit, on the same machine, with the same pictures in one call.

   Versions. AKIN_ABI_VERSION counts changes after which a program must be compiled again; it is the number in
   libakin.so's name. New functions, and members at the end of structs that are zero by default, do not count. */
#ifndef AKIN_H
#define AKIN_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define AKIN_API __attribute__((visibility("default")))
#else
#define AKIN_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define AKIN_ABI_VERSION 1

enum {
  AKIN_OK = 0,
  AKIN_FAILED = 1,  /* bad input, a broken file, a full disk */
  AKIN_USAGE = 2,   /* asked for what does not exist, or contradicts itself; also a NULL where none may be */
  AKIN_STOPPED = 3, /* a run that a callback stopped; it can be resumed */
  AKIN_PARTLY = 4   /* some pictures could not be read: their rows are NaN, the others are there */
};

/* AKIN_ABI_VERSION of the library that runs. Compare it with that of the header. */
AKIN_API int akin_abi_version(void);
/* "0.1.0", and "akin 0.1.0 (commit)". */
AKIN_API const char *akin_version(void);
AKIN_API const char *akin_version_line(void);
/* What was wrong in the calling thread's last call that failed: UTF-8, until its next one fails; never NULL, "" where
   none has. Several lines where several files are to blame. */
AKIN_API const char *akin_last_error(void);

/* ---- Models ---- */

/* What akin writes that tells classes apart: a student, a trained or imported network, a probe, a head. */
typedef struct akin_model akin_model;

/* Zero in each member is its default; NULL stands for all of them. */
typedef struct akin_load_options {
  const char *device;         /* "auto" (NULL: cuda where a card answers, else cpu), "cpu", "cuda", "sim" */
  int32_t threads;            /* of calls with this model; 0: OMP_NUM_THREADS, or the processors at hand */
  int32_t height, width;      /* pictures are brought to this size instead of the one that the file says; 0: the file's */
  const char *const *sources; /* of a probe or head: files of the models whose features it reads [source_count] */
  size_t source_count;
} akin_load_options;

AKIN_API int akin_load(const char *file, const akin_load_options *options, akin_model **model);
AKIN_API void akin_model_free(akin_model *model); /* NULL is allowed */

AKIN_API int64_t akin_model_classes(const akin_model *model);
AKIN_API int64_t akin_model_features(const akin_model *model); /* length of a feature vector; 0: a probe, has none */
AKIN_API int64_t akin_model_height(const akin_model *model);   /* of the network's input, pixels; 0: not known */
AKIN_API int64_t akin_model_width(const akin_model *model);
AKIN_API int64_t akin_model_channels(const akin_model *model); /* 1 grey, 3 RGB */
/* Name of a class, UTF-8; its number as text where the file has no names; NULL outside 0..classes-1. */
AKIN_API const char *akin_model_class_name(const akin_model *model, int64_t number);

/* Pictures in memory: count x height x width x channels bytes, 1 (grey) or 3 (RGB) channels, of any size. Each is brought
   to the network's input as a file of the same pixels would be. */
typedef struct akin_pictures {
  const uint8_t *pixels; /* [count, height, width, channels] */
  int64_t count, height, width, channels;
} akin_pictures;

/* What `akin predict` says: probabilities [count, classes]. */
AKIN_API int akin_predict(akin_model *model, const akin_pictures *pictures, float *probabilities);
/* The same of picture files [count]. AKIN_PARTLY where some cannot be read; the error names each. */
AKIN_API int akin_predict_files(akin_model *model, const char *const *files, size_t count, float *probabilities);

/* What `akin features --match-channels` says: features [count, features] and logits [count, classes]. Either may be
   NULL. Fails on a probe, and where one file cannot be read. */
AKIN_API int akin_features(akin_model *model, const akin_pictures *pictures, float *features, float *logits);
AKIN_API int akin_features_files(akin_model *model, const char *const *files, size_t count, float *features,
                                 float *logits);

/* ---- Similarity of tasks ---- */

enum { AKIN_F32 = 0, AKIN_F64 = 1 };

/* [rows, columns]; data = NULL: there is none. */
typedef struct akin_matrix {
  const void *data;
  int32_t type; /* AKIN_F32, AKIN_F64 */
  int64_t rows, columns;
} akin_matrix;

/* What one model says of N labelled pictures, a row each. */
typedef struct akin_table {
  const char *name;
  akin_matrix features;      /* [N, D] */
  akin_matrix logits;        /* [N, Z] of its own classes, or probabilities, or neither: for leep and nce */
  akin_matrix probabilities; /* [N, Z] */
  int32_t layers;            /* weight layers of the model, for plasticity; 0: not known */
} akin_table;

typedef struct akin_rank_options {
  const char *metric;    /* as `akin rank --metric`, one name; NULL: parc */
  const char *mapping;   /* of similarity to weight; NULL: the metric's own */
  double power;          /* of the weights; 0 gives all the same */
  int32_t replicates;    /* bootstrap draws and label shuffles; 0: none, and so no intervals */
  int32_t classes;       /* of the target; 0: as many as the labels show */
  int64_t probe;         /* labelled rows that are measured on at most, evenly over the classes; from 1 */
  uint64_t seed;         /* of draws and shuffles */
  akin_matrix reference; /* features [N, D] of a model trained on the target, for rsa and dds */
  int32_t threads;       /* see akin_load_options */
} akin_rank_options;

/* The defaults of `akin rank`, which are not zeros: power 12, replicates 200, probe 500. Change what you want of them. */
AKIN_API void akin_rank_defaults(akin_rank_options *options);

typedef struct akin_ranking akin_ranking;

/* What `akin rank --tables` says of count >= 1 tables of the same pictures, labels [N] from 0. `options` NULL: the
   defaults. Fails where no source could be ranked. */
AKIN_API int akin_rank_tables(const akin_table *tables, size_t count, const int32_t *labels, int64_t rows,
                              const akin_rank_options *options, akin_ranking **ranking);
AKIN_API void akin_ranking_free(akin_ranking *ranking); /* NULL is allowed */

enum {
  AKIN_VALUE = 0,       /* of the metric */
  AKIN_LOW = 1,         /* bootstrap interval of 95 % */
  AKIN_HIGH = 2,
  AKIN_CHANCE = 3,      /* the metric with shuffled labels, mean */
  AKIN_CHANCE_HIGH = 4, /* and 95 % quantile */
  AKIN_P_VALUE = 5,     /* how often shuffled labels reach the value */
  AKIN_BEST_SHARE = 6,  /* share of bootstrap draws in which this source is the nearest: how stable the ranking is */
  AKIN_MAPPED = 7,      /* the value, mapped to what weights are made of */
  AKIN_WEIGHT = 8       /* in DistillWeighted */
};

/* Number of sources. Row 0 is the most similar one; those without a value come last. */
AKIN_API size_t akin_ranking_rows(const akin_ranking *ranking);
/* Name of a source, as its table gives it. NULL outside 0..rows-1. */
AKIN_API const char *akin_ranking_source(const akin_ranking *ranking, size_t row);
/* One of the numbers above; NaN where it was not measured or does not exist. */
AKIN_API double akin_ranking_number(const akin_ranking *ranking, size_t row, int which);
/* Why there is no value; NULL where there is one. */
AKIN_API const char *akin_ranking_undefined(const akin_ranking *ranking, size_t row);
/* All of it as the JSON object that `akin rank --json` has for a metric, and "notes": a list of lines for people. */
AKIN_API const char *akin_ranking_json(const akin_ranking *ranking);

/* ---- Runs ---- */

enum {
  AKIN_RESUME = 1, /* go on with a stopped run */
  AKIN_FORCE = 2   /* start anew in a folder that holds a run */
};

/* What a run says while it works; each may be NULL. They are called in the thread that made the call, and must not leave
   by an exception or longjmp. `line`: UTF-8, "warning: ..." where something is wrong. `progress`: done of total; a
   value other than 0 stops the run after the step at hand, with a checkpoint. `user` is handed through. */
typedef struct akin_run_hooks {
  void (*line)(void *user, const char *line);
  int (*progress)(void *user, const char *label, int64_t done, int64_t total, const char *unit);
  void *user;
} akin_run_hooks;

/* Text that a run gives; free it with akin_text_free. */
typedef char *akin_text;
AKIN_API void akin_text_free(akin_text text); /* NULL is allowed */

/* What `akin distill` and `akin fit` do. `settings` is the text of a file as --config takes it: TOML, an option a line
   without its dashes (docs/cli.md), such as "target = \"birds\"\nsteps = 500\n". `flags`: AKIN_RESUME | AKIN_FORCE.
   `hooks` and `outcome` may be NULL. `outcome`: the JSON object that --json prints, with "folder", the run folder, where
   student.safetensors and report.html are. AKIN_STOPPED where `progress` stopped it. Nothing is printed, and signals are
   left alone. */
AKIN_API int akin_distill(const char *settings, unsigned flags, const akin_run_hooks *hooks, akin_text *outcome);
AKIN_API int akin_fit(const char *settings, unsigned flags, const akin_run_hooks *hooks, akin_text *outcome);

#ifdef __cplusplus
}
#endif

#endif
