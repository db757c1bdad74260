/* Finds K groups of points in the plane:  kmeans K ROUNDS FILE  or  mpirun -n 4 kmeans K ROUNDS FILE
 *
 * A line of FILE is "X Y", between -1000 and 1000. It begins with the first K points as centers. A round is a job: it gets the
 * centers as side data, each point adds itself to the numbers of its nearest center, and the sums are a dense result, which
 * every rank has then. All numbers are integers, in millionths, so that they are the same whoever adds up what. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tequio/tequio.h>

enum { UNIT = 1000000, MOST_CENTERS = 1000 };

typedef struct point {
    int64_t x, y;
} point;

/* What a center's points are together; an array of these is the dense result. */
typedef struct total {
    int64_t n, x, y;
} total;

static int parse(const char *line, size_t size, point *to)
{
    char text[64], rest;
    double x, y;

    if (size >= sizeof text)
        return 0;
    memcpy(text, line, size);
    text[size] = '\0';
    if (sscanf(text, "%lf %lf %c", &x, &y, &rest) != 2 || !(fabs(x) <= 1000) || !(fabs(y) <= 1000))
        return 0;
    *to = (point){llround(x * UNIT), llround(y * UNIT)};
    return 1;
}

static int map(const tq_record *line, tq_emitter *emitter, void *user)
{
    const point *centers = (const point *)(const void *)tq_emitter_side(emitter).data;
    size_t n = tq_emitter_side(emitter).size / sizeof *centers, nearest = 0;
    total *totals = (total *)(void *)tq_emitter_dense(emitter);
    int64_t least = INT64_MAX;
    point p;

    (void)user;
    if (!parse(line->data, line->size, &p))
        return tq_emit_fail(emitter, "this line is no point");
    for (size_t i = 0; i < n; i++) {
        int64_t dx = p.x - centers[i].x, dy = p.y - centers[i].y, far = dx * dx + dy * dy;

        if (far < least)
            least = far, nearest = i;
    }
    totals[nearest].n++, totals[nearest].x += p.x, totals[nearest].y += p.y;
    return 0;
}

static int read_first(const char *path, point *centers, size_t k)
{
    FILE *file = fopen(path, "r");
    char line[256];
    size_t n = 0;

    while (file && n < k && fgets(line, sizeof line, file) && parse(line, strcspn(line, "\n"), &centers[n]))
        n++;
    if (file)
        fclose(file);
    return n == k;
}

/* One job. A center without points stays where it is. */
static tq_status move(tq_cluster *cluster, const char *path, point *centers, size_t k)
{
    tq_job job = TQ_JOB_INIT;

    job.inputs = &path, job.n_inputs = 1;
    job.map = map;
    job.side = centers, job.side_bytes = k * sizeof *centers; /* of rank 0: the others' are not looked at */
    job.dense = k * sizeof(total) / sizeof(int64_t);
    tq_future *future = tq_submit(cluster, &job);
    tq_future_wait(future, TQ_FOREVER);
    tq_status status = tq_future_status(future);
    const total *totals = (const total *)(const void *)tq_job_dense(future, NULL);
    for (size_t i = 0; totals && i < k; i++)
        if (totals[i].n > 0)
            centers[i] = (point){totals[i].x / totals[i].n, totals[i].y / totals[i].n};
    if (status != TQ_OK && tq_cluster_rank(cluster) == 0)
        fprintf(stderr, "kmeans: %s\n", tq_future_error(future));
    tq_future_release(future);
    return status;
}

int main(int argc, char **argv)
{
    static point centers[MOST_CENTERS];
    size_t k = argc == 4 ? strtoul(argv[1], NULL, 10) : 0;
    tq_cluster *cluster;
    tq_error error;
    tq_status status = TQ_OK;

    if (k == 0 || k > MOST_CENTERS)
        return fprintf(stderr, "usage: kmeans K ROUNDS FILE, K up to %d\n", MOST_CENTERS), 2;
    if (tq_cluster_open(NULL, &cluster, &error) != TQ_OK)
        return fprintf(stderr, "%s\n", error.message), (int)error.status;
    if (tq_cluster_rank(cluster) == 0 && !read_first(argv[3], centers, k))
        fprintf(stderr, "kmeans: %s does not begin with %zu points: others are at 0\n", argv[3], k);
    for (int rounds = atoi(argv[2]); rounds > 0 && status == TQ_OK; rounds--)
        status = move(cluster, argv[3], centers, k);
    for (size_t i = 0; i < k && status == TQ_OK && tq_cluster_rank(cluster) == 0; i++)
        printf("%.6f %.6f\n", (double)centers[i].x / UNIT, (double)centers[i].y / UNIT);
    tq_cluster_close(cluster);
    return (int)status;
}
