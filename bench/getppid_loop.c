// SPDX-License-Identifier: Apache-2.0
//
// getppid_loop.c - the cheapest system call there is, N times: what a tracepoint on every call costs. Prints seconds.
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  const long count = argc > 1 ? atol(argv[1]) : 0;
  if (count <= 0) {
    fprintf(stderr, "usage: getppid_loop COUNT\n");
    return 2;
  }
  const double start = now();
  for (long i = 0; i < count; i++) syscall(SYS_getppid);
  printf("%.6f\n", now() - start);
  return 0;
}
