// SPDX-License-Identifier: Apache-2.0
//
// thread_server.c - a server that starts a thread for each request, and its client: THREADS connections with a request
// under way on each, all the time. A request's thread sleeps 50 ms as if it asked somebody else, takes the lock that
// all share, answers and ends. So there are nearly THREADS threads, most of them born and gone within 100 ms. Prints
// the seconds that COUNT requests took and, on standard error, how many threads there were at most.
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { kServerEnd, kClientEnd, kEventsAtOnce = 64, kStackBytes = 64 << 10 };

static int (*connections)[2];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long answered;  // under the lock
static atomic_int alive, alive_at_most;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void expect(int works, const char *what) {
  if (works) return;
  perror(what);
  exit(1);
}

static void *answer(void *connection) {
  const struct timespec elsewhere = {0, 50 * 1000 * 1000};
  nanosleep(&elsewhere, NULL);
  pthread_mutex_lock(&lock);
  answered++;
  pthread_mutex_unlock(&lock);
  expect(write(*(const int *)connection, "a", 1) == 1, "write of an answer");
  atomic_fetch_sub(&alive, 1);
  return NULL;
}

static int watch(int end, int count) {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  expect(epoll >= 0, "epoll_create1");
  for (int i = 0; i < count; i++) {
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = connections[i]}};
    expect(epoll_ctl(epoll, EPOLL_CTL_ADD, connections[i][end], &event) == 0, "epoll_ctl");
  }
  return epoll;
}

// Reads the byte that came on each readable connection; how many there were.
static int read_some(int epoll, int end, int *ready[kEventsAtOnce]) {
  struct epoll_event events[kEventsAtOnce];
  const int count = epoll_wait(epoll, events, kEventsAtOnce, -1);
  for (int i = 0; i < count; i++) {
    char byte;
    ready[i] = events[i].data.ptr;
    expect(read(ready[i][end], &byte, 1) == 1, "read");
  }
  return count;
}

static void *serve(void *threads) {
  const int epoll = watch(kServerEnd, *(const int *)threads);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  for (;;) {
    int *ready[kEventsAtOnce];
    const int count = read_some(epoll, kServerEnd, ready);
    for (int i = 0; i < count; i++) {
      const int now_alive = atomic_fetch_add(&alive, 1) + 1;
      if (now_alive > alive_at_most) alive_at_most = now_alive;
      pthread_t thread;
      expect(pthread_create(&thread, &attributes, answer, &ready[i][kServerEnd]) == 0, "pthread_create");
    }
  }
  return NULL;
}

int main(int argc, char **argv) {
  int threads = argc > 1 ? atoi(argv[1]) : 0;
  const long count = argc > 2 ? atol(argv[2]) : 0;
  if (threads <= 0 || count < threads) {
    fprintf(stderr, "usage: thread_server THREADS COUNT    (COUNT >= THREADS)\n");
    return 2;
  }
  connections = calloc((size_t)threads, sizeof *connections);
  for (int i = 0; i < threads; i++)
    expect(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, connections[i]) == 0, "socketpair (see ulimit -n)");
  pthread_t server;
  expect(pthread_create(&server, NULL, serve, &threads) == 0, "pthread_create");

  const int epoll = watch(kClientEnd, threads);
  const double start = now();
  for (int i = 0; i < threads; i++) expect(write(connections[i][kClientEnd], "r", 1) == 1, "write");
  for (long done = 0; done < count;) {
    int *ready[kEventsAtOnce];
    const int answers = read_some(epoll, kClientEnd, ready);
    for (int i = 0; i < answers; i++) expect(write(ready[i][kClientEnd], "r", 1) == 1, "write of a request");
    done += answers;
  }
  printf("%.6f\n", now() - start);
  fprintf(stderr, "%d threads at most\n", (int)alive_at_most);
  fflush(NULL);
  _exit(0);  // requests are still under way
}
