/* Calls at known places: templates, inlined calls, scopes, lambdas. See symbols_mark.c. */
#include <cstdlib>

extern "C" void mark(const char *functions, int line, int line1, int line2);

/* The barrier keeps the call from being the function's last, and functions from being merged. */
#define MARK(functions, line1, line2)                                                              \
	do {                                                                                       \
		mark(functions, __LINE__, line1, line2);                                           \
		asm volatile("" ::"r"(__LINE__) : "memory");                                       \
	} while (0)
#define INLINED	 inline __attribute__((always_inline))
#define OUTLINED __attribute__((noinline, used))

extern "C" OUTLINED void plain()
{
	MARK("plain", 0, 0);
}

namespace app
{

template <class T> struct Shelf {
	T item;

	INLINED void put(T value, int line1)
	{
		item = value;
		MARK("app::Shelf<int>::put(int, int)|app::fill(int)", line1, 0);
	}
	INLINED void deep(T value, int line1, int line2)
	{
		item = value;
		MARK("~::deep(int, int, int)|~app::between|app::outer(int)", line1, line2);
	}
	OUTLINED void keep(T value)
	{
		item = value;
		MARK("app::Shelf<long>::keep(long)", 0, 0);
	}
};

OUTLINED void fill(int n)
{
	Shelf<int> shelf;

	shelf.put(n, __LINE__);
	asm volatile("" ::"r"(&shelf) : "memory");
}

static INLINED void between(int line2)
{
	Shelf<int> shelf;

	shelf.deep(1, __LINE__, line2);
	asm volatile("" ::"r"(&shelf) : "memory");
}

OUTLINED void outer(int)
{
	between(__LINE__);
	MARK("app::outer(int)", 0, 0);
}

namespace
{
OUTLINED void hidden()
{
	MARK("app::(anonymous namespace)::hidden()", 0, 0);
}

/* Debug information has the method inside of the function. */
OUTLINED void local()
{
	struct Inner {
		static INLINED void inlined(int line1)
		{
			MARK("~inlined|~(anonymous namespace)::local()::Inner::", line1, 0);
		}
		static OUTLINED void method()
		{
			inlined(__LINE__);
			asm volatile("" ::: "memory");
		}
	};

	Inner::method();
	asm volatile("" ::: "memory");
}
} // namespace

template <class F> static INLINED void apply(F f, int)
{
	f();
}

/* Local types among the arguments: gcc gives such functions no linkage name. */
OUTLINED void lambdas(int line)
{
	apply(
	    [=]() __attribute__((always_inline)) {
		    MARK("~operator()|~app::apply<|app::lambdas(int)", 0, 0);
	    },
	    line);
	asm volatile("" ::: "memory");
}

struct Held {
	static void *operator new(std::size_t bytes)
	{
		return std::malloc(bytes);
	}
	static void operator delete(void *p)
	{
		std::free(p);
	}
	OUTLINED Held()
	{
		MARK("app::Held::Held()", 0, 0);
	}
	OUTLINED ~Held()
	{
		MARK("app::Held::~Held()", 0, 0);
	}
	OUTLINED operator int() const
	{
		MARK("app::Held::operator int() const", 0, 0);
		return 1;
	}
};

} // namespace app

int main()
{
	app::Shelf<long> shelf;

	plain();
	app::fill(3);
	app::outer(1);
	app::hidden();
	app::local();
	app::lambdas(1);
	shelf.keep(2);
	{
		app::Held *held = new app::Held;
		int number = *held;

		asm volatile("" ::"r"(number) : "memory");
		delete held;
	}
	return 0;
}
