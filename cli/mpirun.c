#include "cli/mpirun.h"
#include "cli/link.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static bool is_set(const char *variable)
{
    const char *value = getenv(variable);
    return value != NULL && *value != '\0';
}

bool cli_mpirun_has_hosts(const cli_options *options)
{
    /* Slurm, PBS/Torque, LSF, Grid Engine: mpirun takes their hosts by itself. */
    static const char *const allocations[] = {"SLURM_JOB_ID", "PBS_NODEFILE", "LSB_HOSTS", "LSB_DJOB_HOSTFILE",
                                              "PE_HOSTFILE"};
    for (size_t i = 0; i < sizeof allocations / sizeof allocations[0]; i++)
        if (is_set(allocations[i]))
            return true;
    return options->hostfile != NULL;
}

/* ---- Which ------------------------------------------------------------------------------------------------------- */

static bool is_program(const char *path)
{
    return strchr(path, '/') != NULL && access(path, X_OK) == 0;
}

/* execvp would search too, but a child could only say that it failed. */
static bool search_path(const char *name, char *found, size_t size)
{
    const char *path = is_set("PATH") ? getenv("PATH") : "/usr/local/bin:/usr/bin:/bin";
    snprintf(found, size, "%s", name);
    if (is_program(name))
        return true;
    while (strchr(name, '/') == NULL && *path != '\0') {
        size_t length = strcspn(path, ":");
        snprintf(found, size, "%.*s/%s", (int)length, path, name);
        if (is_program(found))
            return true;
        path += length + (path[length] == ':');
    }
    return false;
}

static tq_status find_programs(cli_mpirun *mpirun, char *why, size_t size)
{
    const char *named = is_set("TEQUIO_MPIRUN") ? getenv("TEQUIO_MPIRUN") : NULL;
    if (!search_path(named != NULL ? named : "mpirun", mpirun->program, sizeof mpirun->program)) {
        if (named != NULL)
            snprintf(why, size, "TEQUIO_MPIRUN is '%.200s', which is no program that can be run", named);
        else
            snprintf(why, size,
                     "there is no mpirun on the PATH: install Open MPI (Debian, Ubuntu: apt install openmpi-bin), or "
                     "say where it is in TEQUIO_MPIRUN");
        return TQ_E_MPI;
    }
    ssize_t length = readlink("/proc/self/exe", mpirun->self, sizeof mpirun->self - 1);
    if (length <= 0) {
        snprintf(why, size, "cannot read /proc/self/exe: %s", strerror(errno));
        return TQ_E_SYSTEM;
    }
    mpirun->self[length] = '\0';
    return TQ_OK;
}

/* mpirun's own complaint would be about an internal error. */
static tq_status check_hostfile(const char *hostfile, char *why, size_t size)
{
    int fd = hostfile != NULL ? open(hostfile, O_RDONLY | O_CLOEXEC) : -1;
    if (hostfile != NULL && fd < 0) {
        snprintf(why, size, "cannot read the hostfile %.300s: %s", hostfile, strerror(errno));
        return TQ_E_USAGE;
    }
    if (fd >= 0)
        close(fd);
    return TQ_OK;
}

/* ---- With which flags -------------------------------------------------------------------------------------------- */

static void add(cli_mpirun *mpirun, const char *argument)
{
    mpirun->argv[mpirun->n++] = (char *)argument;
}

/* An option of Open MPI's that the user has not set in the environment. */
static void add_mca(cli_mpirun *mpirun, const char *variable, const char *value)
{
    if (is_set(variable))
        return;
    add(mpirun, "--mca");
    add(mpirun, variable + strlen("OMPI_MCA_"));
    add(mpirun, value);
}

static void add_one_host(cli_mpirun *mpirun)
{
    add(mpirun, "--oversubscribe"); /* and with more ranks than cores, Open MPI then yields while it polls */
    /* No probing for fabrics: a start in 0.1 s instead of 0.3 s. */
    add_mca(mpirun, "OMPI_MCA_pml", "ob1");
    add_mca(mpirun, "OMPI_MCA_btl", "self,vader,tcp");
    /* Also while MPI starts a rank that waits yields: something else may need the core. */
    add_mca(mpirun, "OMPI_MCA_mpi_yield_when_idle", "1");
    /* Where a rank runs is settled (--bind-to none): it need not look at the hardware to bind itself. */
    add_mca(mpirun, "OMPI_MCA_orte_bound_at_launch", "1");
}

static void add_hosts(cli_mpirun *mpirun, const cli_options *options)
{
    if (options->hostfile != NULL) {
        add(mpirun, "--hostfile");
        add(mpirun, options->hostfile);
    }
    /* A hostfile may claim more slots than there are cores; then a rank that waits must yield. */
    add_mca(mpirun, "OMPI_MCA_mpi_yield_when_idle", "1");
    /* A host that is cut off is noticed in 8 s instead of never. */
    add_mca(mpirun, "OMPI_MCA_oob_tcp_keepalive_time", "3");
    add_mca(mpirun, "OMPI_MCA_oob_tcp_keepalive_intvl", "1");
    add_mca(mpirun, "OMPI_MCA_oob_tcp_keepalive_probes", "2");
    add(mpirun, "-x");
    add(mpirun, CLI_LINK_VARIABLE);
    if (is_set("LD_LIBRARY_PATH")) {
        add(mpirun, "-x");
        add(mpirun, "LD_LIBRARY_PATH");
    }
}

/* Our own settings travel to other hosts. */
static void add_environment(cli_mpirun *mpirun)
{
    size_t n;
    const option_row *rows = cli_options_rows(&n);
    for (size_t i = 0; i < n; i++)
        if (rows[i].environment != NULL && is_set(rows[i].environment)) {
            add(mpirun, "-x");
            add(mpirun, rows[i].environment);
        }
}

tq_status cli_mpirun_prepare(const cli_options *options, cli_mpirun *mpirun, char *why, size_t size)
{
    *mpirun = (cli_mpirun){.n = 0};
    tq_status status = find_programs(mpirun, why, size);
    if (status == TQ_OK)
        status = check_hostfile(options->hostfile, why, size);
    if (status != TQ_OK)
        return status;
    mpirun->one_host = !cli_mpirun_has_hosts(options);
    size_t n_rows;
    cli_options_rows(&n_rows);
    mpirun->argv = calloc(64 + options->n_forward + 2 * n_rows, sizeof *mpirun->argv);
    if (mpirun->argv == NULL) {
        snprintf(why, size, "out of memory");
        return TQ_E_MEMORY;
    }
    add(mpirun, mpirun->program);
    if (options->ranks > 0) {
        snprintf(mpirun->pool, sizeof mpirun->pool, "%lld", (long long)options->ranks);
        add(mpirun, "-n");
        add(mpirun, mpirun->pool);
    }
    add(mpirun, "--bind-to"); /* a rank has many threads */
    add(mpirun, "none");
    if (mpirun->one_host) {
        add_one_host(mpirun);
    } else {
        add_hosts(mpirun, options);
        add_environment(mpirun);
    }
    add(mpirun, mpirun->self);
    for (size_t i = 0; i < options->n_forward; i++)
        add(mpirun, options->forward[i]);
    return TQ_OK;
}

void cli_mpirun_free(cli_mpirun *mpirun)
{
    free(mpirun->argv);
    mpirun->argv = NULL;
}

/* ---- Starting it ------------------------------------------------------------------------------------------------- */

/* hwloc loads all its plugins in mpirun and in every rank, to look for graphics cards over X11, for OpenCL, for the PCI
 * bus: a third of the time that a start takes, and we use nothing of it. Its own XML does for Open MPI's. */
static void skip_hardware_plugins(void)
{
    setenv("HWLOC_PLUGINS_BLACKLIST",
           "hwloc_gl.so,hwloc_opencl.so,hwloc_pci.so,hwloc_cuda.so,hwloc_nvml.so,hwloc_rsmi.so,hwloc_levelzero.so,"
           "hwloc_xml_libxml.so",
           0);
}

/* In the child. The launcher has no threads, so anything may be called here. */
static void become(const cli_mpirun *mpirun, const char *link, const int files[3], pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    setpgid(0, 0); /* Ctrl-C is for the launcher alone */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(TQ_E_CANCELLED);
    for (int i = 0; i < 3; i++)
        if (dup2(files[i], i) < 0)
            _exit(TQ_E_SYSTEM);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setenv(CLI_LINK_VARIABLE, link, 1);
    if (mpirun->one_host)
        skip_hardware_plugins();
    if (geteuid() == 0) { /* Open MPI's way to be told that root means it */
        setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 0);
        setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 0);
    }
    execv(mpirun->program, mpirun->argv);
    fprintf(stderr, "tequio: cannot run %s: %s\n", mpirun->program, strerror(errno));
    _exit(TQ_E_MPI);
}

pid_t cli_mpirun_start(const cli_mpirun *mpirun, const char *link, int input, int output, int errors)
{
    const int files[3] = {input, output, errors};
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0)
        become(mpirun, link, files, parent);
    if (child > 0)
        setpgid(child, child); /* whoever is first */
    return child;
}
