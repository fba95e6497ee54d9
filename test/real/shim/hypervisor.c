/*
 * The Xen library calls that xenstored and oxenstored make, answered without
 * a hypervisor. Domain 0 always exists. Any other domain exists while there
 * is a file $XENSTORED_RUNDIR/domains/<domid>, whose first word is its state:
 * "shutdown", "crashed", "dying", or anything else (such as nothing) for a
 * running domain.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <xenctrl.h>
#include <xenctrl_compat.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xen/sched.h>

#include "shim.h"

/* Handles are opaque to the servers: any address will do. */
static char handle;
#define HANDLE ((void *)&handle)

xc_interface *xc_interface_open(xentoollog_logger *logger, xentoollog_logger *dombuild_logger,
                                unsigned flags) { return HANDLE; }
int xc_interface_close(xc_interface *xch) { return 0; }
xengnttab_handle *xengnttab_open(xentoollog_logger *logger, unsigned flags) { return HANDLE; }
int xengnttab_close(xengnttab_handle *xgt) { return 0; }
int xengnttab_set_max_grants(xengnttab_handle *xgt, uint32_t nr_grants) { return 0; }

/* ---- domains ---- */

const char *run_dir(void)
{
    const char *dir = getenv("XENSTORED_RUNDIR");

    return dir ? dir : "/run/xenstored";
}

/* Does the domain exist, and in which state? */
static bool domain_state(uint32_t domid, char state[16])
{
    char path[PATH_MAX];
    FILE *file;

    state[0] = '\0';
    if (domid == 0)
        return true;
    snprintf(path, sizeof(path), "%s/domains/%u", run_dir(), domid);
    file = domid < MAX_DOMAINS ? fopen(path, "re") : NULL;
    if (!file)
        return false;
    if (fscanf(file, "%15s", state) != 1)
        state[0] = '\0';
    fclose(file);
    return true;
}

/* xenstored asks about one domain at a time... */
int xc_domain_getinfo(xc_interface *xch, uint32_t domid, unsigned int max, xc_dominfo_t *info)
{
    char state[16];

    if (!domain_state(domid, state))
        return 0;
    memset(info, 0, sizeof(*info));
    info->domid = domid;
    info->dying = !strcmp(state, "dying");
    info->crashed = !strcmp(state, "crashed");
    info->shutdown = !strcmp(state, "shutdown");
    return 1;
}

/* ... and so does oxenstored, with another call. */
int xc_domain_getinfolist(xc_interface *xch, uint32_t domid, unsigned int max,
                          xc_domaininfo_t *info)
{
    xc_dominfo_t dom;

    if (xc_domain_getinfo(xch, domid, max, &dom) != 1) {
        errno = ESRCH;
        return 0;
    }
    memset(info, 0, sizeof(*info));
    info->domain = domid;
    if (dom.dying)
        info->flags |= XEN_DOMINF_dying;
    if (dom.shutdown || dom.crashed)
        info->flags |= XEN_DOMINF_shutdown |
            (dom.crashed ? SHUTDOWN_crash : SHUTDOWN_poweroff) << XEN_DOMINF_shutdownshift;
    return 1;
}

/* oxenstored looks here first for what went wrong, and then at errno. */
const xc_error *xc_get_last_error(xc_interface *xch)
{
    static const xc_error none = { .code = XC_ERROR_NONE };

    return &none;
}

/* ---- ring pages ---- */

static _Atomic(void *) server_ring[MAX_DOMAINS];    /* where it mapped each ring */

static void *map_ring(uint32_t domid)
{
    char state[16];
    void *page;

    if (!domain_state(domid, state)) {
        errno = EINVAL;
        return NULL;
    }
    page = mmap(NULL, RING_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, guest_ring(domid), 0);
    if (page == MAP_FAILED)
        return NULL;
    return server_ring[domid] = page;
}

/* xenstored maps rings by their well-known grant references... */
void *xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, int prot)
{
    return map_ring(domid);
}

int xengnttab_unmap(xengnttab_handle *xgt, void *start, uint32_t count)
{
    return munmap(start, (size_t)count * RING_PAGE_SIZE);
}

/* ... and oxenstored by frame number. It unmaps them as any other page. */
void *xc_map_foreign_range(xc_interface *xch, uint32_t domid, int size, int prot,
                           unsigned long mfn)
{
    return map_ring(domid);
}

int munmap(void *start, size_t length)
{
    for (uint32_t domid = 0; length == RING_PAGE_SIZE && domid < MAX_DOMAINS; domid++)
        if (server_ring[domid] == start) {
            server_ring[domid] = NULL;
            guest_destroy(domid);
        }
    return syscall(SYS_munmap, start, length);
}

/* ---- event channels ---- */

/*
 * Those towards the server are a pipe of port numbers, in which a port is at
 * most once: it is taken out before the server looks for work, so no event is
 * lost by not repeating it.
 */
static int event_pipe[2];
static atomic_bool event_pending[DOMAIN_PORT(MAX_DOMAINS)];

void raise_event(uint32_t port)
{
    if (!atomic_exchange(&event_pending[port], true) &&
        write(event_pipe[1], &port, sizeof(port)) != sizeof(port))
        abort();
}

/* The first call of all after a fork to become a daemon: now there may be threads. */
xenevtchn_handle *xenevtchn_open(xentoollog_logger *logger, unsigned int flags)
{
    const char *lifetime = getenv("XENSTORED_SHIM_LIFETIME");
    const char *parent = getenv("XENSTORED_SHIM_PARENT");

    if (pipe2(event_pipe, O_CLOEXEC))
        return NULL;
    guests_start();
    /* So that no server is left behind by a test. */
    if (lifetime)
        alarm(atoi(lifetime));
    if (parent) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != atoi(parent))  /* it died before that */
            raise(SIGKILL);
    }
    return HANDLE;
}

int xenevtchn_close(xenevtchn_handle *xce) { return 0; }
int xenevtchn_fd(xenevtchn_handle *xce) { return event_pipe[0]; }
int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port) { return 0; }
int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port) { return 0; }

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
    uint32_t port;

    if (read(event_pipe[0], &port, sizeof(port)) != sizeof(port))
        return -1;
    atomic_store(&event_pending[port], false);
    return port;
}

xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *xce, unsigned int virq)
{
    return DOM_EXC_PORT;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce, uint32_t domid,
                                                     evtchn_port_t remote_port)
{
    guest_connect(domid);
    raise_event(DOMAIN_PORT(domid));    /* as Xen does: something may be waiting */
    return DOMAIN_PORT(domid);
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
    guest_event(PORT_DOMAIN(port));
    return 0;
}

/* ---- limits ---- */

/* oxenstored insists on raising one, which takes privilege: raise it as far as it goes. */
int setrlimit(__rlimit_resource_t resource, const struct rlimit *wanted)
{
    struct rlimit now, limit = *wanted;

    if (!getrlimit(resource, &now) && limit.rlim_max > now.rlim_max)
        limit.rlim_max = now.rlim_max;
    if (limit.rlim_cur > limit.rlim_max)
        limit.rlim_cur = limit.rlim_max;
    return prlimit(0, resource, &limit, NULL);
}
