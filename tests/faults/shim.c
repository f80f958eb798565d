/*
 * shim.c - counts calls, knows their call sites, and says which shall fail.
 *
 * A call site is the call itself and FRAMES_OF_SITE return addresses above it, each relative to its module. Those that
 * were seen are in a table in the shared file, which outlives the process: so a service that did not start, because a
 * call at one site failed, comes as far as the next the time after.
 */
#include "shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <unwind.h>

#define FRAMES_MAX     24
#define FRAMES_OF_SITE 5
#define SITES_MAX      16384 /* a power of two */
#define LOG_BYTES      (4 << 20)

enum mode {
    MODE_OFF,
    MODE_COUNT, /* and list sites */
    MODE_AT,    /* `width` calls from number `at` on */
    MODE_SITES, /* the first call of each site */
    MODE_EVERY, /* each call of number `at`, 2 * `at`, ... */
};

/* state.py knows this layout. */
struct state {
    atomic_uint mode, kind;
    atomic_ullong at;
    atomic_ullong calls;
    atomic_uint failed, log_used;
    atomic_uint site_count, hidden; /* sites; of which no more could be noted */
    atomic_uint width, unused;
    char target[64];                /* part of a library's path; empty: the program itself */
    atomic_ullong sites[SITES_MAX];
    char log[LOG_BYTES];
};

static struct state *state; /* NULL: nothing fails */
static uintptr_t target_start, target_end, own_start, own_end;
static __thread bool busy __attribute__((tls_model("initial-exec")));

struct trace {
    uintptr_t frames[FRAMES_MAX];
    unsigned count;
    bool is_wanted;
};

static _Unwind_Reason_Code add_frame(struct _Unwind_Context *context, void *argument)
{
    struct trace *trace = argument;
    uintptr_t at = _Unwind_GetIP(context);

    if (at == 0)
        return _URC_END_OF_STACK;
    if (at >= own_start && at < own_end)
        return _URC_NO_REASON;
    if (at >= target_start && at < target_end)
        trace->is_wanted = true;
    trace->frames[trace->count++] = at;
    return trace->count < FRAMES_MAX ? _URC_NO_REASON : _URC_END_OF_STACK;
}

static const char *module_of(uintptr_t at, uintptr_t *start)
{
    struct dl_find_object found;
    const char *name, *slash;

    *start = 0;
    if (_dl_find_object((void *)at, &found) != 0)
        return "?";
    *start = (uintptr_t)found.dlfo_link_map->l_addr;
    name = found.dlfo_link_map->l_name;
    if (name == NULL || name[0] == '\0')
        return "program";
    slash = strrchr(name, '/');
    return slash != NULL ? slash + 1 : name;
}

/* Is it libc that allocates for itself, in a program of others? Its name service does not survive that, with us or
 * without. */
static bool is_libcs_own(const struct trace *trace)
{
    if (state->target[0] == '\0')
        return false;
    for (unsigned i = 0; i < trace->count; i++) {
        uintptr_t start;
        const char *module = module_of(trace->frames[i], &start);

        if (strncmp(module, "libasan", 7) != 0)
            return strncmp(module, "libc.", 5) == 0 || strncmp(module, "ld-", 3) == 0 ||
                   strncmp(module, "libnss", 6) == 0;
    }
    return false;
}

static uint64_t site_of(const char *name, const struct trace *trace)
{
    uint64_t hash = 14695981039346656037u;

    for (; *name != '\0'; name++)
        hash = (hash ^ (uint8_t)*name) * 1099511628211u;
    for (unsigned i = 0; i < trace->count && i < FRAMES_OF_SITE; i++) {
        uintptr_t start;

        hash = (hash ^ strlen(module_of(trace->frames[i], &start))) * 1099511628211u;
        hash = (hash ^ (trace->frames[i] - start)) * 1099511628211u;
    }
    return hash != 0 ? hash : 1;
}

/* Return: is it a new one? */
static bool enter_site(uint64_t site)
{
    for (unsigned i = 0; i < SITES_MAX; i++) {
        atomic_ullong *place = &state->sites[(site + i) % SITES_MAX];
        unsigned long long there = 0;

        if (atomic_compare_exchange_strong(place, &there, site)) {
            atomic_fetch_add(&state->site_count, 1);
            return true;
        }
        if (there == site)
            return false;
    }
    atomic_fetch_add(&state->hidden, 1);
    return false;
}

/* Written without snprintf(), which may allocate. */
static void put(char **to, const char *end, const char *text)
{
    while (*text != '\0' && *to < end)
        *(*to)++ = *text++;
}

static void put_hex(char **to, const char *end, uint64_t number)
{
    char digits[17] = "0123456789abcdef", text[17];
    int at = 16;

    text[at] = '\0';
    do
        text[--at] = digits[number & 15];
    while ((number >>= 4) != 0);
    put(to, end, text + at);
}

/* "NAME ERRNO(hex) SITE FRAME...", a frame is MODULE+OFFSET. */
static void note(const char *name, int error, uint64_t site, const struct trace *trace)
{
    char line[1024], *to = line, *end = line + sizeof line - 1;
    unsigned at, length;

    put(&to, end, name);
    put(&to, end, " ");
    put_hex(&to, end, (unsigned)error);
    put(&to, end, " ");
    put_hex(&to, end, site);
    for (unsigned i = 0; i < trace->count; i++) {
        uintptr_t start;
        const char *module = module_of(trace->frames[i], &start);

        put(&to, end, " ");
        put(&to, end, module);
        put(&to, end, "+");
        put_hex(&to, end, trace->frames[i] - start - 1);
    }
    *to++ = '\n';
    length = (unsigned)(to - line);
    at = atomic_fetch_add(&state->log_used, length);
    if (at + length < LOG_BYTES)
        memcpy(state->log + at, line, length);
}

int shim_fails(const char *name, const int errors[SHIM_KINDS])
{
    struct trace trace = {.count = 0};
    unsigned long long number, at;
    int saved_errno = errno, error;
    uint64_t site;
    unsigned mode;
    bool fails;

    if (state == NULL || busy || (mode = atomic_load(&state->mode)) == MODE_OFF)
        return 0;
    error = errors[atomic_load(&state->kind) % SHIM_KINDS];
    if (error == 0)
        return 0;
    busy = true;
    _Unwind_Backtrace(add_frame, &trace);
    fails = false;
    if (trace.is_wanted && !is_libcs_own(&trace)) {
        number = atomic_fetch_add(&state->calls, 1) + 1;
        at = atomic_load(&state->at);
        site = site_of(name, &trace);
        if (mode == MODE_SITES || mode == MODE_COUNT)
            fails = enter_site(site);
        else if (mode == MODE_AT)
            fails = number >= at && number < at + atomic_load(&state->width);
        else
            fails = number % at == 0;
        if (fails)
            note(name, mode == MODE_COUNT ? 0 : error, site, &trace);
        if (mode == MODE_COUNT)
            fails = false;
        if (fails)
            atomic_fetch_add(&state->failed, 1);
    }
    busy = false;
    errno = saved_errno;
    return fails ? error : 0;
}

enum shim_kind shim_kind(void)
{
    return state != NULL ? atomic_load(&state->kind) % SHIM_KINDS : SHIM_SHORT;
}

bool shim_is_service(void)
{
    return state != NULL && state->target[0] == '\0';
}

void *shim_next(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);

    if (function == NULL)
        abort();
    return function;
}

static int find_target(struct dl_phdr_info *info, size_t size, void *wanted)
{
    const char *target = wanted;
    const bool is_it = target[0] == '\0' ? info->dlpi_name[0] == '\0' : strstr(info->dlpi_name, target) != NULL;
    const bool is_own = (uintptr_t)find_target >= info->dlpi_addr && strstr(info->dlpi_name, "shim_") != NULL;

    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + part->p_vaddr, end = start + part->p_memsz;

        if (part->p_type != PT_LOAD || !(part->p_flags & PF_X))
            continue;
        if (is_it) {
            target_start = start;
            target_end = end;
        }
        if (is_own && (uintptr_t)find_target >= start && (uintptr_t)find_target < end) {
            own_start = start;
            own_end = end;
        }
    }
    return 0;
}

static _Unwind_Reason_Code warm_up(struct _Unwind_Context *context, void *argument)
{
    (void)context, (void)argument;
    return _URC_NO_REASON;
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FAULTS_STATE");
    struct state *mapped;
    int fd;

    if (path == NULL || (fd = (int)syscall(SYS_openat, (long)AT_FDCWD, path, (long)(O_RDWR | O_CLOEXEC))) < 0)
        return;
    mapped = (void *)syscall(SYS_mmap, NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, (long)fd, 0L);
    syscall(SYS_close, fd);
    if (mapped == MAP_FAILED)
        return;
    dl_iterate_phdr(find_target, mapped->target);
    _Unwind_Backtrace(warm_up, NULL);
    if (target_end != 0)
        state = mapped;
}
