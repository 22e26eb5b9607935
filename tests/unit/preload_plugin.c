/* A library to load and unload; the large one lies over two small ones' places. */
#ifdef PLUGIN_large
#define SPACE (3 << 20)
#else
#define SPACE (1 << 20)
#endif

char plugin_space[SPACE];
char *plugin_call(int i);

char *plugin_call(int i)
{
	return plugin_space + i;
}
