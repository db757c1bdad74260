// The word count of the benchmark for MR-MPI (Debian: libmrmpi-dev): words between ASCII white space, counts summed before
// and after they travel. Prints how many different words there are.
//
//   mpicxx -O3 -I/usr/include/mrmpi mrmpi_wordcount.cpp -lMapReduceMPI -o mrmpi_wordcount
#include <mpi.h>

#include <cstdio>
#include <cstring>

#include "keyvalue.h"
#include "mapreduce.h"

using namespace MAPREDUCE_NS;

static void cut(int, char *text, int size, KeyValue *out, void *)
{
    static const char spaces[] = " \t\n\v\f\r";
    int one = 1;

    (void)size; // the library ends the text with a NUL
    for (char *word = strtok(text, spaces); word; word = strtok(NULL, spaces))
        out->add(word, (int)strlen(word), (char *)&one, sizeof one);
}

static void sum(char *key, int key_bytes, char *values, int n, int *, KeyValue *out, void *)
{
    long total = 0;

    for (int i = 0; i < n; i++)
        total += ((int *)values)[i];
    int count = (int)total;
    out->add(key, key_bytes, (char *)&count, sizeof count);
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    int rank, ranks;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    {
        MapReduce job(MPI_COMM_WORLD);
        job.memsize = 256;
        job.all2all = 1;
        job.map(64 * ranks, 1, argv + 1, 0, 0, '\n', 1 << 20, cut, NULL);
        job.compress(sum, NULL);
        job.collate(NULL);
        uint64_t words = job.reduce(sum, NULL);
        if (rank == 0)
            printf("%lu different words\n", (unsigned long)words);
    }
    MPI_Finalize();
}
