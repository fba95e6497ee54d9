/* The ioctls that are used: number, and how many bytes of memory each takes (0: an integer). */
#include <sys/ioctl.h>

static const struct {
  uint64_t request;
  uint32_t size;
} ioctls[] = {
  {0x4c00, 0},          /* LOOP_SET_FD */
  {0x4c01, 0},          /* LOOP_CLR_FD */
  {0x4c04, 232},        /* LOOP_SET_STATUS64, struct loop_info64 */
  {0x4c05, 232},        /* LOOP_GET_STATUS64 */
  {0x4c08, 0},          /* LOOP_SET_DIRECT_IO */
  {0x4c0a, 304},        /* LOOP_CONFIGURE, struct loop_config */
  {0x4c82, 0},          /* LOOP_CTL_GET_FREE */
  {0x125e, 4},          /* BLKROGET */
  {0x80081272, 8},      /* BLKGETSIZE64 */
  {0x80081280, 8},      /* BLKGETDISKSEQ */
  {0x5413, 8},          /* TIOCGWINSZ, struct winsize */
};
