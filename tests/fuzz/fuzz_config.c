/* A configuration that anybody may have written: the file up to the first zero byte, then flags,
 * one a line. It is taken, or refused with one line that says why. Names are not resolved: the
 * system's resolver is not what is looked at. */
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "cmd/coordd/config.h"

#define WORDS_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Instead of the C library's. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    (void)host;
    (void)service;
    (void)hints;
    (void)out;
    return EAI_NONAME;
}

static char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

/* The same file for all inputs. Returns its path. */
static const char *file_with(const uint8_t *data, size_t size)
{
    static FILE *file;
    static char path[64];
    if (file == NULL) {
        file = tmpfile();
        PRE(file != NULL);
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fileno(file));
    }
    rewind(file);
    PRE(ftruncate(fileno(file), 0) == 0);
    PRE(fwrite(data, 1, size, file) == size);
    PRE(fflush(file) == 0);
    return path;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char program[] = "coordd", flag[] = "--config";
    const uint8_t *zero = size == 0 ? NULL : memchr(data, 0, size);
    size_t file_bytes = zero == NULL ? size : (size_t)(zero - data);
    size_t rest = zero == NULL ? 0 : size - file_bytes - 1;
    char *flags = mem_alloc(rest + 1);
    char *path = mem_strdup(file_with(data, file_bytes));
    char *words[WORDS_MAX + 4] = {program, flag, path};
    int count = 3;

    if (rest > 0) {
        memcpy(flags, zero + 1, rest);
    }
    flags[rest] = '\0';
    char *next = NULL;
    for (char *word = strtok_r(flags, "\n", &next); word != NULL && count < WORDS_MAX;
         word = strtok_r(NULL, "\n", &next)) {
        words[count++] = word;
    }
    struct config config;
    struct errmsg err = {0};
    enum status rc = config_load(count, words, no_environment, &config, &err);
    PRE(rc == RC_OK || (rc == RC_INVALID && err.text[0] != '\0'));
    PRE(strchr(err.text, '\n') == NULL);
    mem_free(path);
    mem_free(flags);
    return 0;
}
