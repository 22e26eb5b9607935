// Something for the compiler to chew on: it is compiled, never run.
#include <algorithm>
#include <functional>
#include <future>
#include <iostream>
#include <map>
#include <ranges>
#include <regex>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

int main()
{
	std::map<std::string, std::vector<std::variant<int, std::string>>> lists;
	std::unordered_map<std::string, std::function<int(int)>> functions;
	std::regex pattern("a(b|c)*d");
	auto one = std::async([] { return 1; });
	for (const auto &entry : lists | std::views::take(3))
		std::cout << entry.first;
	return one.get() + (int)functions.size() + std::regex_match("abcd", pattern);
}
