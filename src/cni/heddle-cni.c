/*
 * What a container runtime executes: it hands its environment and standard input to the node's agent and the agent's
 * answer back, byte for byte. It decides nothing, so it starts and ends in about a millisecond; a Node.js process
 * would take thirty before its first line.
 *
 * Two things it answers itself: VERSION, which must not depend on a running agent, and that the agent cannot be
 * reached, which nobody else could say (error 11, "try again later"; 50 for STATUS). It waits a while for a socket
 * that is not there yet, because an agent that is being restarted is back within seconds.
 *
 * The frame is in src/wire/cni/frame.ts. Memory is never freed: the process is about to end.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* The agent's, in src/wire/cni/version.ts: a test holds both lists to be the same. */
static const char *const versions[] = {"0.1.0", "0.2.0", "0.3.0", "0.3.1",
				       "0.4.0", "1.0.0", "1.1.0"};
#define VERSION_COUNT (sizeof versions / sizeof versions[0])
#define NEWEST_VERSION versions[VERSION_COUNT - 1]

enum {
	DEFAULT_TIMEOUT_MS = 30000, /* runtimes give an ADD one to four minutes */
	LONGEST_CONNECT_MS = 5000,  /* a restarted agent listens again after about a second */
	CONNECT_PAUSE_MS = 20,
	CODE_TRY_AGAIN_LATER = 11,
	CODE_NOT_AVAILABLE = 50,
};

struct bytes {
	char *data;
	size_t length;
	size_t capacity;
};

static void append(struct bytes *to, const void *data, size_t length)
{
	if (to->length + length + 1 > to->capacity) {
		to->capacity = (to->length + length + 1) * 2;
		to->data = realloc(to->data, to->capacity);
		if (to->data == NULL)
			abort();
	}
	memcpy(to->data + to->length, data, length);
	to->length += length;
	to->data[to->length] = '\0';
}

static void append_text(struct bytes *to, const char *text)
{
	append(to, text, strlen(text));
}

static void append_json_string(struct bytes *to, const char *text)
{
	append(to, "\"", 1);
	for (; *text != '\0'; text++) {
		unsigned char byte = (unsigned char)*text;
		char escaped[8];
		if (byte == '"' || byte == '\\')
			snprintf(escaped, sizeof escaped, "\\%c", byte);
		else if (byte < 0x20)
			snprintf(escaped, sizeof escaped, "\\u%04x", byte);
		else
			snprintf(escaped, sizeof escaped, "%c", byte);
		append_text(to, escaped);
	}
	append(to, "\"", 1);
}

static long long now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void write_all(int fd, const char *data, size_t length)
{
	while (length > 0) {
		ssize_t written = write(fd, data, length);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return; /* The runtime has gone: nobody is left to tell. */
		data += written;
		length -= (size_t)written;
	}
}

static struct bytes read_all_of_stdin(void)
{
	struct bytes input = {0};
	char chunk[16384];
	append(&input, "", 0);
	for (;;) {
		ssize_t got = read(STDIN_FILENO, chunk, sizeof chunk);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return input;
		append(&input, chunk, (size_t)got);
	}
}

/*
 * The version the runtime speaks, as its configuration says, because errors are to be written in it. This is a look
 * for `"cniVersion": "…"`, not a parser: the agent parses.
 */
static const char *requested_version(const struct bytes *input)
{
	static char version[32];
	const char *key = strstr(input->data, "\"cniVersion\"");
	if (key == NULL)
		return NEWEST_VERSION;
	if (sscanf(key + strlen("\"cniVersion\""), " : \"%31[0-9.]\"", version) != 1)
		return NEWEST_VERSION;
	return version;
}

/*
 * Where the agent listens, as the configuration says it: for nodes whose agent is not where all others are. Found the
 * same way; a name that no other plugin's part of the input has.
 */
static const char *configured_socket(const struct bytes *input)
{
	static char path[sizeof((struct sockaddr_un *)0)->sun_path];
	const char *key = strstr(input->data, "\"heddleSocket\"");
	if (key == NULL)
		return NULL;
	/* One byte less than a socket's path may have, and room for the NUL. */
	return sscanf(key + strlen("\"heddleSocket\""), " : \"%107[^\"\\]\"", path) == 1 ? path : NULL;
}

static int answer_versions(const struct bytes *input)
{
	struct bytes output = {0};
	append_text(&output, "{\"cniVersion\":");
	append_json_string(&output, requested_version(input));
	append_text(&output, ",\"supportedVersions\":[");
	for (size_t i = 0; i < VERSION_COUNT; i++) {
		append_text(&output, i == 0 ? "" : ",");
		append_json_string(&output, versions[i]);
	}
	append_text(&output, "]}\n");
	write_all(STDOUT_FILENO, output.data, output.length);
	return 0;
}

/* Everything that a failure needs to be told. */
struct call {
	const char *command;
	const char *socket_path;
	const struct bytes *input;
	long long started_ms;
	long long deadline_ms;
};

__attribute__((format(printf, 2, 3))) static int answer_error(const struct call *call,
							      const char *format, ...)
{
	struct bytes output = {0};
	char reason[256], message[512], details[768];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(reason, sizeof reason, format, arguments);
	va_end(arguments);
	snprintf(message, sizeof message, "%s: the Heddle agent does not answer on %s",
		 call->command, call->socket_path);
	snprintf(details, sizeof details,
		 "waited %lld ms: %s; is the agent running on this node? start it with "
		 "`heddle agent`, or set HEDDLE_CNI_SOCKET to the socket it listens on",
		 now_ms() - call->started_ms, reason);

	int is_status = strcmp(call->command, "STATUS") == 0;
	char code[16];
	snprintf(code, sizeof code, "%d", is_status ? CODE_NOT_AVAILABLE : CODE_TRY_AGAIN_LATER);
	append_text(&output, "{\"cniVersion\":");
	append_json_string(&output, requested_version(call->input));
	append_text(&output, ",\"code\":");
	append_text(&output, code);
	append_text(&output, ",\"msg\":");
	append_json_string(&output, message);
	append_text(&output, ",\"details\":");
	append_json_string(&output, details);
	append_text(&output, "}\n");
	write_all(STDOUT_FILENO, output.data, output.length);
	return 1;
}

/* Has the next send or receive on the socket give up at the deadline; false where that has passed. */
static int arm(int fd, long long deadline_ms)
{
	long long left = deadline_ms - now_ms();
	if (left <= 0) {
		errno = EAGAIN;
		return 0;
	}
	struct timeval timeout = {.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
	return 1;
}

static const char *reason_of(int error)
{
	return error == EAGAIN ? "no answer in time" : strerror(error);
}

/* Connects, waiting for a socket that is not there yet; -1 with errno of the last try. */
static int connect_to_agent(const struct call *call)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	long long give_up_ms = call->started_ms + LONGEST_CONNECT_MS;
	if (give_up_ms > call->deadline_ms)
		give_up_ms = call->deadline_ms;
	strcpy(address.sun_path, call->socket_path);
	for (;;) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0)
			return -1;
		if (arm(fd, call->deadline_ms) &&
		    connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
			return fd;
		int error = errno;
		close(fd);
		errno = error;
		if (error != ENOENT && error != ECONNREFUSED)
			return -1;
		if (now_ms() + CONNECT_PAUSE_MS > give_up_ms)
			return -1;
		struct timespec pause = {.tv_nsec = CONNECT_PAUSE_MS * 1000000L};
		nanosleep(&pause, NULL);
		errno = error;
	}
}

static struct bytes encode_request(char **environment, const struct bytes *input)
{
	struct bytes request = {0};
	append_text(&request, "heddle-cni 1\n");
	for (; *environment != NULL; environment++) {
		if (strncmp(*environment, "CNI_", 4) == 0)
			append(&request, *environment, strlen(*environment) + 1);
	}
	append(&request, "", 1);
	append(&request, input->data, input->length);
	return request;
}

static int send_request(int fd, const struct call *call, const struct bytes *request)
{
	size_t sent = 0;
	while (sent < request->length) {
		if (!arm(fd, call->deadline_ms))
			return 0;
		ssize_t count =
			send(fd, request->data + sent, request->length - sent, MSG_NOSIGNAL);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return 0;
		sent += (size_t)count;
	}
	return shutdown(fd, SHUT_WR) == 0;
}

static int receive_reply(int fd, const struct call *call, struct bytes *reply)
{
	char chunk[16384];
	append(reply, "", 0);
	for (;;) {
		if (!arm(fd, call->deadline_ms))
			return 0;
		ssize_t got = recv(fd, chunk, sizeof chunk, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return 0;
		if (got == 0)
			return 1;
		append(reply, chunk, (size_t)got);
	}
}

static int ask_agent(const struct call *call, char **environment)
{
	struct sockaddr_un address;
	if (strlen(call->socket_path) >= sizeof address.sun_path)
		return answer_error(call, "the socket's path is longer than %zu bytes",
				    sizeof address.sun_path - 1);
	int fd = connect_to_agent(call);
	if (fd < 0)
		return answer_error(call, "connect: %s", reason_of(errno));
	struct bytes request = encode_request(environment, call->input);
	/* An agent that refuses early may answer and close before it has read everything. */
	int sent = send_request(fd, call, &request);
	int send_error = errno;
	struct bytes reply = {0};
	if (!receive_reply(fd, call, &reply))
		return answer_error(call, "receive: %s", reason_of(errno));

	/* Only a whole answer is passed on: the stream has ended, and it begins with the exit code. */
	char *end;
	long code = strtol(reply.data, &end, 10);
	if (end == reply.data || *end != '\n' || code < 0 || code > 255) {
		if (!sent)
			return answer_error(call, "send: %s", reason_of(send_error));
		return answer_error(call, "the agent closed the connection without an answer");
	}
	end++;
	write_all(STDOUT_FILENO, end, reply.length - (size_t)(end - reply.data));
	return (int)code;
}

static long long timeout_ms(void)
{
	const char *text = getenv("HEDDLE_CNI_TIMEOUT_MS");
	char *end;
	long long value = text == NULL ? 0 : strtoll(text, &end, 10);
	return value > 0 && *end == '\0' ? value : DEFAULT_TIMEOUT_MS;
}

int main(int count, char **arguments, char **environment)
{
	(void)count;
	(void)arguments;
	const char *command = getenv("CNI_COMMAND");
	if (command == NULL || *command == '\0') {
		fputs("Heddle CNI plugin\nCNI protocol versions supported: ", stderr);
		for (size_t i = 0; i < VERSION_COUNT; i++)
			fprintf(stderr, "%s%s", i == 0 ? "" : ", ", versions[i]);
		fputs("\n", stderr);
		return 0;
	}
	signal(SIGPIPE, SIG_IGN);
	struct bytes input = read_all_of_stdin();
	if (strcmp(command, "VERSION") == 0)
		return answer_versions(&input);
	const char *socket_path = getenv("HEDDLE_CNI_SOCKET");
	if (socket_path == NULL || *socket_path == '\0')
		socket_path = configured_socket(&input);
	struct call call = {
		.command = command,
		.socket_path = socket_path == NULL ? "/run/heddle/cni.sock" : socket_path,
		.input = &input,
		.started_ms = now_ms(),
	};
	call.deadline_ms = call.started_ms + timeout_ms();
	return ask_agent(&call, environment);
}
