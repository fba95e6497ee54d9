/*
 * The ioctls that are used: number, how many bytes of memory each takes (0: an integer), and how many more for
 * each of a list whose length is the first 32 bits of that.
 */
#include <sys/ioctl.h>

static const struct {
  uint64_t request;
  uint32_t size, each;
} ioctls[] = {
  {0x4c00, 0, 0},       /* LOOP_SET_FD */
  {0x4c01, 0, 0},       /* LOOP_CLR_FD */
  {0x4c04, 232, 0},     /* LOOP_SET_STATUS64, struct loop_info64 */
  {0x4c05, 232, 0},     /* LOOP_GET_STATUS64 */
  {0x4c08, 0, 0},       /* LOOP_SET_DIRECT_IO */
  {0x4c0a, 304, 0},     /* LOOP_CONFIGURE, struct loop_config */
  {0x4c82, 0, 0},       /* LOOP_CTL_GET_FREE */
  {0x125e, 4, 0},       /* BLKROGET */
  {0x80081272, 8, 0},   /* BLKGETSIZE64 */
  {0x80081280, 8, 0},   /* BLKGETDISKSEQ */
  {0x00184700, 16, 8}, /* IOCTL_GNTDEV_MAP_GRANT_REF */
  {0x00104701, 16, 0}, /* IOCTL_GNTDEV_UNMAP_GRANT_REF */
  {0x00104707, 16, 0}, /* IOCTL_GNTDEV_SET_UNMAP_NOTIFY */
  {0x00084501, 8, 0},  /* IOCTL_EVTCHN_BIND_INTERDOMAIN */
  {0x00044503, 4, 0},  /* IOCTL_EVTCHN_UNBIND */
  {0x00044504, 4, 0},  /* IOCTL_EVTCHN_NOTIFY */
  {0x00024506, 2, 0},  /* IOCTL_EVTCHN_RESTRICT_DOMID */
  {0x5413, 8, 0},       /* TIOCGWINSZ, struct winsize */
};
