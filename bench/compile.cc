/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * compile.cc -- something for g++ to chew on; bench/run never runs it.
 */
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <regex>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

struct Entry {
    std::string name;
    std::shared_ptr<std::vector<double>> values;
};

std::map<std::string, std::set<std::string>>
group(const std::vector<std::string> &lines)
{
    static const std::regex pattern("([a-z_]+)\\s*=\\s*(.*?)\\s*;?$");
    std::map<std::string, std::set<std::string>> groups;

    for (const auto &line : lines) {
        std::smatch match;
        if (std::regex_match(line, match, pattern))
            groups[match[1]].insert(match[2]);
    }
    return groups;
}

template <int N> struct Sum {
    static double of(const std::vector<double> &v)
    {
        return (N < static_cast<int>(v.size()) ? v[N] : 0) + Sum<N - 1>::of(v);
    }
};

template <> struct Sum<-1> {
    static double of(const std::vector<double> &) { return 0; }
};

} // namespace

int
main()
{
    std::unordered_map<std::string, Entry> entries;
    std::vector<std::string> lines;

    for (std::string line; std::getline(std::cin, line);)
        lines.push_back(line);
    for (const auto &[name, values] : group(lines)) {
        auto numbers = std::make_shared<std::vector<double>>();
        std::transform(values.begin(), values.end(),
                       std::back_inserter(*numbers),
                       [](const std::string &s) { return std::stod(s); });
        std::sort(numbers->begin(), numbers->end(), std::greater<>());
        entries[name] = Entry{name, numbers};
    }
    for (const auto &[name, entry] : entries)
        std::cout << name << ' ' << Sum<100>::of(*entry.values) << '\n';
    return 0;
}
