/*
 * counters.c - keeps the counters of covered lines in a file that every process of the same program shares. Only in a
 * COVERAGE=1 build.
 *
 * What clang's run-time library does at the end of a process doesn't do here: programs with the preload exec, _exit,
 * crash and are killed, and the service, once sandboxed, may open nothing. So the instrumented code counts
 * (-runtime-counter-relocation) in a shared mapping of a raw profile, made when the program or the library is loaded:
 * what is counted is there at once, whatever becomes of the process, and a child of a fork goes on with it. Two
 * processors that count the same line at once may lose one of both, which changes no "never".
 *
 * The profile's name is the build id of what it belongs to, so that what another build left is never counted on. A
 * process that can't open it counts in its own memory, unseen.
 *
 * Everything here runs before the library's constructor, in a stranger's process: no allocation, no stdio.
 */
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of clang's run-time library (compiler-rt/lib/profile/InstrProfiling.h), which installs no header. */
uint64_t __llvm_profile_get_size_for_buffer(void);
int __llvm_profile_write_buffer(char *buffer);
uint64_t *__llvm_profile_begin_counters(void);
uint64_t *__llvm_profile_end_counters(void);
const char *__llvm_profile_begin_names(void);
const char *__llvm_profile_end_names(void);
/* What the instrumented code adds to a counter's address. Each instrumented object brings it along. */
extern intptr_t __llvm_profile_counter_bias __attribute__((visibility("hidden")));
/* Being here, it keeps out the part of the run-time library that writes at exit. */
extern int __llvm_profile_runtime;
int __llvm_profile_runtime __attribute__((visibility("hidden")));

/* What we are linked into. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

#define DIRECTORY COVERAGE_DIRECTORY "/"
#define SUFFIX ".profraw"
#define BUILD_ID_BYTES 20

/* Append the build id in hexadecimal to the path. Return: false if there is none. */
static bool append_build_id(char *path)
{
    const ElfW(Phdr) *header = (const ElfW(Phdr) *)((const char *)&__ehdr_start + __ehdr_start.e_phoff);
    char *out = path + strlen(path);

    for (int i = 0; i < __ehdr_start.e_phnum; i++, header++) {
        if (header->p_type != PT_NOTE)
            continue;
        const char *at = (const char *)&__ehdr_start + header->p_vaddr, *end = at + header->p_memsz;
        while (at < end) {
            const ElfW(Nhdr) *note = (const ElfW(Nhdr) *)at;
            const unsigned char *id = (const unsigned char *)(note + 1) + ((note->n_namesz + 3) & ~3u);
            if (note->n_type == NT_GNU_BUILD_ID && note->n_descsz == BUILD_ID_BYTES) {
                for (int byte = 0; byte < BUILD_ID_BYTES; byte++) {
                    *out++ = "0123456789abcdef"[id[byte] >> 4];
                    *out++ = "0123456789abcdef"[id[byte] & 15];
                }
                *out = '\0';
                return true;
            }
            at = (const char *)id + ((note->n_descsz + 3) & ~3u);
        }
    }
    return false;
}

/* A raw profile is a header, the functions' data, the counters and the functions' names. Return: where in it the
 * counters begin. */
static size_t counters_offset(size_t profile_bytes)
{
    size_t counters_bytes = (size_t)((char *)__llvm_profile_end_counters() - (char *)__llvm_profile_begin_counters());
    size_t names_bytes = (size_t)(__llvm_profile_end_names() - __llvm_profile_begin_names());

    return profile_bytes - (names_bytes + 7) / 8 * 8 - counters_bytes;
}

/* Map the profile, made here if it isn't there yet. Return: it, or MAP_FAILED. */
static char *map_profile(const char *path, size_t size)
{
    struct stat status;
    char *profile = MAP_FAILED;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);

    if (fd < 0)
        return MAP_FAILED;
    (void)fchmod(fd, 0666); /* the next may be another user's */
    if (flock(fd, LOCK_EX) == 0 && fstat(fd, &status) == 0 &&
        ((size_t)status.st_size == size || (status.st_size == 0 && ftruncate(fd, (off_t)size) == 0))) {
        profile = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (profile != MAP_FAILED && status.st_size == 0)
            (void)__llvm_profile_write_buffer(profile);
    }
    (void)flock(fd, LOCK_UN); /* the mapping would keep it beyond close() */
    close(fd);
    return profile;
}

/* Before all other constructors. */
static __attribute__((constructor(101))) void count_in_profile(void)
{
    char path[sizeof(DIRECTORY) + 2 * BUILD_ID_BYTES + sizeof(SUFFIX)] = DIRECTORY, *profile;
    uint64_t *counters = __llvm_profile_begin_counters();
    size_t size = __llvm_profile_get_size_for_buffer();

    if (!append_build_id(path))
        return;
    profile = map_profile(strcat(path, SUFFIX), size);
    if (profile != MAP_FAILED)
        __llvm_profile_counter_bias = (intptr_t)(profile + counters_offset(size)) - (intptr_t)counters;
}
