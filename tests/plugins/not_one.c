/* A shared object that is no plug-in. */
int not_an_entry(void);

int not_an_entry(void)
{
    return 0;
}
