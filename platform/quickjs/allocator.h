/*
 * Memory for the engine's small things, which are most of what it asks for: some hundred thousand for an attach.
 * The C library's allocator took a third of the processor's time. Larger ones are left to that.
 *
 * A range of addresses is set aside at the start, and made usable as it is needed. It consists of pages of one
 * size class each, so that the address tells the size. A page that is empty serves any class again, and
 * most of those go back to the kernel.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <malloc.h>
#include <sys/mman.h>

#define PAGE_SHIFT 14
#define PAGE_BYTES ((size_t)1 << PAGE_SHIFT)
#define PAGES 16384
/* What is made usable at a time: the largest page of any kernel is 64 KiB. */
#define STEP_PAGES 16
/* Empty pages that are kept as they are. */
#define KEPT_PAGES 32
#define SMALL_MAX 2048
#define NONE UINT16_MAX

/* Bytes of a slot: multiples of 16, eight or more to a page. */
static const uint16_t class_bytes[] = {16,  32,  48,  64,  80,  96,  112,  128,  160,  192, 224,
                                       256, 320, 384, 448, 512, 640, 768, 1024, 1280, 1536, 2048};
#define CLASSES (sizeof class_bytes / sizeof *class_bytes)

struct slot {
  struct slot *next;
};

struct page {
  struct slot *free;
  /* Slots that are in use, and those that were ever handed out. */
  uint16_t used, carved;
  /* Its neighbours among those of its class that have room; of those that are empty, `next`. */
  uint16_t next, previous;
  uint8_t class;
};

static uint8_t *region;
static struct page pages[PAGES];
/* Made usable so far. */
static unsigned usable;
static uint16_t with_room[CLASSES];
static uint16_t empty = NONE;
static unsigned empty_count;
/* By the number of 16 bytes. */
static uint8_t class_of[SMALL_MAX / 16 + 1];

static void begin_memory(void) {
  for (size_t class = 0, units = 0; class < CLASSES; class++) {
    with_room[class] = NONE;
    for (; units * 16 <= class_bytes[class]; units++) class_of[units] = class;
  }
  void *at = mmap(NULL, PAGES * PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at != MAP_FAILED) region = at;
}

/* The page that it is in; NULL: the C library's. */
static struct page *page_of(const void *ptr) {
  uintptr_t offset = (uintptr_t)ptr - (uintptr_t)region;
  return region != NULL && offset < PAGES * PAGE_BYTES ? &pages[offset >> PAGE_SHIFT] : NULL;
}

static void add_room(uint16_t number) {
  struct page *page = &pages[number];
  uint16_t *first = &with_room[page->class];
  page->previous = NONE;
  page->next = *first;
  if (*first != NONE) pages[*first].previous = number;
  *first = number;
}

static void remove_room(uint16_t number) {
  struct page *page = &pages[number];
  if (page->previous == NONE) with_room[page->class] = page->next;
  else pages[page->previous].next = page->next;
  if (page->next != NONE) pages[page->next].previous = page->previous;
}

/* A page of this class with room; NONE when there is none to be had. */
static uint16_t fresh_page(uint8_t class) {
  uint16_t number = empty;
  if (number != NONE) {
    empty = pages[number].next;
    empty_count--;
  } else {
    if (region == NULL || usable == PAGES) return NONE;
    if (usable % STEP_PAGES == 0) {
      void *at = region + usable * PAGE_BYTES;
      if (mprotect(at, STEP_PAGES * PAGE_BYTES, PROT_READ | PROT_WRITE) < 0) return NONE;
    }
    number = usable++;
  }
  pages[number] = (struct page){.class = class, .next = NONE, .previous = NONE};
  add_room(number);
  return number;
}

static void *take(size_t size) {
  if (size > SMALL_MAX) return malloc(size);
  uint8_t class = class_of[(size + 15) / 16];
  uint16_t number = with_room[class];
  if (number == NONE && (number = fresh_page(class)) == NONE) return malloc(size);
  struct page *page = &pages[number];
  struct slot *slot = page->free;
  unsigned bytes = class_bytes[class];
  if (slot != NULL) page->free = slot->next;
  else slot = (struct slot *)(region + number * PAGE_BYTES + (size_t)bytes * page->carved++);
  page->used++;
  if (page->free == NULL && (page->carved + 1u) * bytes > PAGE_BYTES) remove_room(number);
  return slot;
}

static size_t size_of(const void *ptr) {
  struct page *page = page_of(ptr);
  return page == NULL ? malloc_usable_size((void *)ptr) : class_bytes[page->class];
}

static void give_back(void *ptr) {
  struct page *page = page_of(ptr);
  if (page == NULL) return free(ptr);
  uint16_t number = page - pages;
  unsigned bytes = class_bytes[page->class];
  bool was_full = page->free == NULL && (page->carved + 1u) * bytes > PAGE_BYTES;
  /* Given back twice, or no slot: whatever comes of it would be worse. */
  if (page->used == 0 || ((uintptr_t)ptr - (uintptr_t)region) % PAGE_BYTES % bytes != 0) abort();
  struct slot *slot = ptr;
  slot->next = page->free;
  page->free = slot;
  if (was_full) add_room(number);
  if (--page->used > 0 || (page->previous == NONE && page->next == NONE)) return;
  remove_room(number);
  page->next = empty;
  empty = number;
  if (++empty_count > KEPT_PAGES) madvise(region + number * PAGE_BYTES, PAGE_BYTES, MADV_DONTNEED);
}

/* As the engine asks for it: it counts what it has. */
static void *engine_malloc(JSMallocState *state, size_t size) {
  if (state->malloc_size + size > state->malloc_limit) return NULL;
  void *ptr = take(size);
  if (ptr == NULL) return NULL;
  state->malloc_count++;
  state->malloc_size += size_of(ptr);
  return ptr;
}

static void engine_free(JSMallocState *state, void *ptr) {
  if (ptr == NULL) return;
  state->malloc_count--;
  state->malloc_size -= size_of(ptr);
  give_back(ptr);
}

static void *engine_realloc(JSMallocState *state, void *ptr, size_t size) {
  if (ptr == NULL) return size == 0 ? NULL : engine_malloc(state, size);
  if (size == 0) {
    engine_free(state, ptr);
    return NULL;
  }
  size_t before = size_of(ptr);
  if (state->malloc_size + size - before > state->malloc_limit) return NULL;
  void *moved;
  if (page_of(ptr) == NULL && size > SMALL_MAX) {
    if ((moved = realloc(ptr, size)) == NULL) return NULL;
  } else {
    if (page_of(ptr) != NULL && size <= SMALL_MAX && class_bytes[class_of[(size + 15) / 16]] == before) return ptr;
    if ((moved = take(size)) == NULL) return NULL;
    memcpy(moved, ptr, before < size ? before : size);
    give_back(ptr);
  }
  state->malloc_size += size_of(moved) - before;
  return moved;
}

static const JSMallocFunctions engine_memory = {engine_malloc, engine_free, engine_realloc, size_of};
