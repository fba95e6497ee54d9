/*
 * Parts of the program are packed as the LZ4 block format has it (lz4_Block_format.md); compile/small/pack.ts packs them.
 * Whatever the bytes are, nothing outside of the two areas is touched.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Four bits of a token, and the bytes that follow when they do not suffice; -1: there are not so many. */
static int unpack_count(unsigned bits, const uint8_t **from, const uint8_t *end, size_t *count) {
  *count = bits;
  if (bits < 15) return 0;
  for (uint8_t more = 255; more == 255; *count += more) {
    if (*from == end) return -1;
    more = *(*from)++;
  }
  return 0;
}

/* Exactly `size` bytes; -1 when that is not what is there. */
static int unpack(const uint8_t *from, const uint8_t *end, uint8_t *to, size_t size) {
  uint8_t *at = to, *stop = to + size;
  while (from < end) {
    unsigned token = *from++;
    size_t count;
    if (unpack_count(token >> 4, &from, end, &count) < 0) return -1;
    if (count > (size_t)(end - from) || count > (size_t)(stop - at)) return -1;
    memcpy(at, from, count);
    at += count;
    from += count;
    if (from == end) break;
    if (end - from < 2) return -1;
    size_t back = from[0] | from[1] << 8;
    from += 2;
    if (unpack_count(token & 15, &from, end, &count) < 0) return -1;
    count += 4;
    if (back == 0 || back > (size_t)(at - to) || count > (size_t)(stop - at)) return -1;
    /* They may overlap: it repeats what it has just written. */
    for (const uint8_t *source = at - back; count > 0; count--) *at++ = *source++;
  }
  return at == stop ? 0 : -1;
}
