/* A program in C that calls libakin as the header says: tests/test_api.cpp and test_api_runs.cpp run it. C89 but for the
   types of stdint.h.
     client predict MODEL FILE...   a line of probabilities a file
     client rank                    two tables that it makes up, a line a source
     client distill|fit SETTINGS    the outcome of a run
   Errors go to stderr; the exit code is that of the call. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/akin.h"

static int told(int code) {
  if (code != AKIN_OK) fprintf(stderr, "client: %s\n", akin_last_error());
  return code;
}

static int predict(const char *file, char **files, size_t count) {
  akin_model *model = NULL;
  float *p;
  size_t classes, i;
  int code = akin_load(file, NULL, &model);
  if (code != AKIN_OK) return told(code);
  classes = (size_t)akin_model_classes(model);
  p = malloc(count * classes * sizeof *p);
  if (p == NULL) return AKIN_FAILED;
  code = told(akin_predict_files(model, (const char *const *)files, count, p));
  if (code == AKIN_OK || code == AKIN_PARTLY)
    for (i = 0; i < count * classes; ++i) printf("%.9g%c", (double)p[i], (i + 1) % classes == 0 ? '\n' : ' ');
  free(p);
  akin_model_free(model);
  return code;
}

/* Two classes: the first table tells them apart, the second does not. */
static int rank(void) {
  enum { N = 40, D = 2 };
  static float good[N * D], bad[N * D];
  static int32_t labels[N];
  akin_table tables[2];
  akin_rank_options options;
  akin_ranking *ranking = NULL;
  size_t i;
  int code;
  for (i = 0; i < N; ++i) {
    labels[i] = (int32_t)(i % 2);
    good[D * i] = (float)(labels[i] * 10) + (float)(i % 7);
    good[D * i + 1] = (float)(i % 5);
    bad[D * i] = (float)((i * 31) % 17);
    bad[D * i + 1] = (float)((i * 29) % 13);
  }
  memset(tables, 0, sizeof tables);
  for (i = 0; i < 2; ++i) {
    tables[i].name = i == 0 ? "bad" : "good";
    tables[i].features.data = i == 0 ? bad : good;
    tables[i].features.type = AKIN_F32;
    tables[i].features.rows = N;
    tables[i].features.columns = D;
  }
  akin_rank_defaults(&options);
  options.metric = "parc";
  options.replicates = 20;
  code = akin_rank_tables(tables, 2, labels, N, &options, &ranking);
  if (code != AKIN_OK) return told(code);
  for (i = 0; i < akin_ranking_rows(ranking); ++i)
    printf("%s %.17g %.17g %.17g\n", akin_ranking_source(ranking, i), akin_ranking_number(ranking, i, AKIN_VALUE),
           akin_ranking_number(ranking, i, AKIN_LOW), akin_ranking_number(ranking, i, AKIN_WEIGHT));
  akin_ranking_free(ranking);
  return code;
}

static int run(const char *command, const char *file) {
  static char settings[65536];
  akin_text outcome = NULL;
  FILE *in = fopen(file, "rb");
  size_t n = in != NULL ? fread(settings, 1, sizeof settings - 1, in) : 0;
  int code;
  if (in == NULL) return AKIN_FAILED;
  fclose(in);
  settings[n] = '\0';
  code = told(strcmp(command, "fit") == 0 ? akin_fit(settings, 0, NULL, &outcome)
                                          : akin_distill(settings, 0, NULL, &outcome));
  if (outcome != NULL) fputs(outcome, stdout);
  akin_text_free(outcome);
  return code;
}

int main(int argc, char **argv) {
  if (akin_abi_version() != AKIN_ABI_VERSION) return 9;
  if (argc >= 4 && strcmp(argv[1], "predict") == 0) return predict(argv[2], argv + 3, (size_t)argc - 3);
  if (argc == 2 && strcmp(argv[1], "rank") == 0) return rank();
  if (argc == 3) return run(argv[1], argv[2]);
  return 9;
}
