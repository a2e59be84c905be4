/* What is on these pictures? A model that akin made, used from C.

     cc classify.c -o classify $(pkg-config --cflags --libs akin-c)
     ./classify runs/birds/student.safetensors holiday/1.jpg holiday/2.jpg */
#include <akin.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  akin_model *model = NULL;
  float *probabilities;
  size_t count, classes, i, c;
  int code;

  if (argc < 3) {
    fprintf(stderr, "usage: classify MODEL PICTURE...\n");
    return 2;
  }
  if (akin_abi_version() != AKIN_ABI_VERSION) {
    fprintf(stderr, "classify: was compiled for another version of libakin\n");
    return 1;
  }
  code = akin_load(argv[1], NULL, &model);
  if (code != AKIN_OK) {
    fprintf(stderr, "classify: %s\n", akin_last_error());
    return code;
  }
  count = (size_t)argc - 2;
  classes = (size_t)akin_model_classes(model);
  probabilities = malloc(count * classes * sizeof *probabilities);
  if (probabilities == NULL) return 1;
  code = akin_predict_files(model, (const char *const *)argv + 2, count, probabilities);
  if (code == AKIN_OK || code == AKIN_PARTLY) {
    for (i = 0; i < count; ++i) {
      const float *row = probabilities + i * classes;
      size_t best = 0;
      if (row[0] != row[0]) continue; /* NaN: this file could not be read, the error below says why */
      for (c = 1; c < classes; ++c)
        if (row[c] > row[best]) best = c;
      printf("%s\t%s\t%.9g\n", argv[i + 2], akin_model_class_name(model, (int64_t)best), (double)row[best]);
    }
  }
  if (code != AKIN_OK) fprintf(stderr, "classify: %s\n", akin_last_error());
  free(probabilities);
  akin_model_free(model);
  return code;
}
