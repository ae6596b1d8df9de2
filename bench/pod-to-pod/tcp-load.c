/*
 * The two ends of three classic TCP measurements, in C so that what is measured is the way and not the ends.
 *
 *   tcp-load serve PORT                          until killed; prints a line when it listens
 *   tcp-load stream ADDRESS PORT MILLISECONDS    one connection, as many bytes as go: prints bytes per second received
 *   tcp-load rr     ADDRESS PORT MILLISECONDS    one connection, one byte there and one back: round trips per second
 *   tcp-load crr    ADDRESS PORT MILLISECONDS    a connection for each such round trip, which the server closes:
 *                                                connections per second
 *
 * PORT takes bytes and says at the end how many came; PORT + 1 sends single bytes back; PORT + 2 sends one and closes.
 * Each kind has a process that serves one connection after the other.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum kind { STREAM, RR, CRR };

static char block[128 * 1024];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void no_delay(int fd)
{
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static int listener(uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&to, sizeof to) != 0 || listen(fd, 128) != 0)
		die("listen");
	return fd;
}

static void serve_one(enum kind kind, int fd)
{
	char byte;
	if (kind == STREAM) {
		uint64_t total = 0;
		ssize_t got;
		while ((got = read(fd, block, sizeof block)) > 0)
			total += (uint64_t)got;
		if (write(fd, &total, sizeof total) < 0)
			perror("answer");
		return;
	}
	no_delay(fd);
	while (read(fd, &byte, 1) == 1 && write(fd, &byte, 1) == 1 && kind == RR)
		;
}

static void serve(uint16_t port)
{
	int listeners[] = {listener(port), listener(port + 1), listener(port + 2)};
	for (int kind = STREAM; kind <= CRR; kind++) {
		if (fork() != 0)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		for (;;) {
			int fd = accept(listeners[kind], NULL, NULL);
			if (fd < 0)
				die("accept");
			serve_one((enum kind)kind, fd);
			close(fd);
		}
	}
	puts("listening");
	fflush(stdout);
	pause();
}

static int connected(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof *to) != 0)
		die("connect");
	no_delay(fd);
	return fd;
}

static void round_trip(int fd)
{
	char byte = 'x';
	if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
		die("round trip");
}

static double stream(const struct sockaddr_in *to, double seconds)
{
	uint64_t total = 0;
	int fd = connected(to);
	double start = now();
	while (now() - start < seconds)
		if (write(fd, block, sizeof block) < 0)
			die("write");
	shutdown(fd, SHUT_WR);
	if (read(fd, &total, sizeof total) != sizeof total)
		die("read");
	double took = now() - start;
	close(fd);
	return (double)total / took;
}

static double rr(const struct sockaddr_in *to, double seconds)
{
	long count = 0;
	int fd = connected(to);
	double start = now();
	for (; now() - start < seconds; count++)
		round_trip(fd);
	double took = now() - start;
	close(fd);
	return (double)count / took;
}

static double crr(const struct sockaddr_in *to, double seconds)
{
	long count = 0;
	char byte;
	double start = now();
	for (; now() - start < seconds; count++) {
		int fd = connected(to);
		round_trip(fd);
		if (read(fd, &byte, 1) != 0)
			die("end of connection");
		close(fd);
	}
	return (double)count / (now() - start);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "serve") == 0) {
		serve((uint16_t)atoi(argv[2]));
		return 0;
	}
	if (argc != 5) {
		fprintf(stderr, "usage: tcp-load serve PORT | stream|rr|crr ADDRESS PORT MILLISECONDS\n");
		return 2;
	}
	double (*measure)(const struct sockaddr_in *, double) = strcmp(argv[1], "stream") == 0 ? stream
							       : strcmp(argv[1], "rr") == 0	? rr
												: crr;
	int kind = measure == stream ? STREAM : measure == rr ? RR : CRR;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(atoi(argv[3]) + kind))};
	if (inet_pton(AF_INET, argv[2], &to.sin_addr) != 1)
		die("address");
	printf("%.1f\n", measure(&to, atof(argv[4]) / 1000));
	return 0;
}
