#include <cctype>
#include <regex>
#include <set>

#include "ptx.h"

namespace lqf::ptx {

namespace {

std::string trimmed(const std::string& text) {
    const auto begin = text.find_first_not_of(" \t\r\n");
    if (begin == std::string::npos) return "";
    return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

std::string without_comments(const std::string& text) {
    std::string result;
    for (size_t i = 0; i < text.size(); i++) {
        if (text.compare(i, 2, "//") == 0) {
            i = text.find('\n', i);
            if (i == std::string::npos) break;
        } else if (text.compare(i, 2, "/*") == 0) {
            i = text.find("*/", i) + 1;
            continue;
        }
        result += text[i];
    }
    return result;
}

size_t type_bytes(const std::string& type) {
    static const std::map<std::string, size_t> bytes{{"8", 1}, {"16", 2}, {"32", 4}, {"64", 8}};
    std::smatch match;
    if (!std::regex_search(type, match, std::regex("^\\.?[busf](\\d+)$"))) throw Failure("ptx: unknown type " + type);
    return bytes.at(match[1]);
}

size_t rounded(size_t offset, size_t alignment) { return (offset + alignment - 1) / alignment * alignment; }

// ".param .u64 .ptr .align 1 name" or ".param .align 8 .b8 name[48]"
void add_parameter(Entry& entry, const std::string& text) {
    std::smatch match;
    if (!std::regex_search(text, match, std::regex("(\\.[busf]\\d+)(?=\\s)"))) throw Failure("ptx: parameter " + text);
    const size_t unit = type_bytes(match[1]);
    size_t count = 1, alignment = unit;
    std::string name = text.substr(text.find_last_of(" \t") + 1);
    std::smatch array;
    if (std::regex_match(name, array, std::regex("(\\S+)\\[(\\d+)\\]"))) {
        count = std::stoul(array[2]);
        name = array[1];
        std::smatch align;
        if (std::regex_search(text, align, std::regex("\\.align\\s+(\\d+)"))) alignment = std::stoul(align[1]);
    }
    entry.parameter_bytes = rounded(entry.parameter_bytes, alignment);
    entry.parameters.push_back({name, entry.parameter_bytes, unit * count});
    entry.parameter_bytes += unit * count;
}

// Scope braces are dropped, those of operand lists kept: a list has no semicolon inside.
std::string without_scopes(const std::string& body) {
    std::string result = body;
    std::vector<size_t> open;
    for (size_t i = 0; i < body.size(); i++) {
        if (body[i] == '{') open.push_back(i);
        if (body[i] != '}') continue;
        const size_t begin = open.back();
        open.pop_back();
        if (body.find(';', begin) < i) result[begin] = result[i] = ' ';
    }
    return result;
}

void add_statement(Entry& entry, std::string text) {
    static const std::regex label("^([$_A-Za-z][$_A-Za-z0-9]*):\\s*");
    std::smatch match;
    while (std::regex_search(text, match, label)) {
        const std::string name = match[1];
        const std::string rest = trimmed(match.suffix());
        if (rest.rfind(".branchtargets", 0) == 0) {
            std::string targets = rest.substr(14);
            for (std::smatch one; std::regex_search(targets, one, std::regex("[$_A-Za-z][$_A-Za-z0-9]*"));
                 targets = one.suffix())
                entry.tables[name].push_back(one[0]);
            return;
        }
        entry.labels[name] = entry.statements.size();
        text = rest;
    }
    if (text.empty()) return;
    if (text[0] != '.') {
        entry.statements.push_back(text);
        return;
    }
    static const std::regex ignored("^\\.(reg|pragma|loc|file|maxntid|minnctapersm)\\b");
    if (std::regex_search(text, ignored)) return;
    std::smatch array;
    if (std::regex_search(text, array, std::regex("^\\.local\\s+\\.align\\s+(\\d+)\\s+\\.b8\\s+(\\S+)\\[(\\d+)\\]"))) {
        entry.local_bytes = rounded(entry.local_bytes, std::stoul(array[1]));
        entry.local_arrays.push_back({array[2], entry.local_bytes});
        entry.local_bytes += std::stoul(array[3]);
        return;
    }
    throw Failure("ptx: " + entry.name + ": no meaning here for " + text);
}

// nvcc for newer cards names the registers of inner braces without %: they get one.
std::string with_percents(std::string text) {
    static const std::regex plain("\\.reg\\s+\\.\\w+\\s+([A-Za-z_]\\w*)\\s*;");
    std::set<std::string> names;
    for (std::sregex_iterator at(text.begin(), text.end(), plain), end; at != end; ++at) names.insert((*at)[1]);
    for (const std::string& name : names) text = std::regex_replace(text, std::regex("\\b" + name + "\\b"), "%" + name);
    return text;
}

}  // namespace

std::vector<Entry> parse(const std::string& source) {
    const std::string text = with_percents(without_comments(source));
    std::smatch match;
    if (std::regex_search(text, match, std::regex("\\n\\s*(\\.visible\\s+)?\\.(global|const)\\s[^;]*;")))
        throw Failure("ptx: a variable of the module: " + trimmed(match[0]));
    std::vector<std::string> shared_names;
    static const std::regex dynamic("\\.extern\\s+\\.shared\\s+\\.align\\s+\\d+\\s+\\.b8\\s+([$_A-Za-z0-9]+)\\[\\]");
    for (std::sregex_iterator at(text.begin(), text.end(), dynamic), end; at != end; ++at)
        shared_names.push_back((*at)[1]);
    std::vector<Entry> entries;
    static const std::regex head(
        "\\.(entry|func)\\s+(\\([^)]*\\)\\s*)?([$_A-Za-z0-9]+)\\s*\\(([^)]*)\\)([^{;]*)([{;])");
    auto begin = text.cbegin();
    while (std::regex_search(begin, text.cend(), match, head)) {
        begin = match.suffix().first;
        if (match[1] == "func") throw Failure("ptx: a function that was not inlined: " + match[3].str());
        Entry entry;
        entry.name = match[3];
        entry.shared_names = shared_names;
        const std::string list = match[4];
        for (size_t at = 0; at < list.size();) {
            const size_t comma = std::min(list.find(',', at), list.size());
            const std::string one = trimmed(list.substr(at, comma - at));
            if (!one.empty()) add_parameter(entry, one);
            at = comma + 1;
        }
        int depth = 1;
        auto end = begin;
        for (; depth > 0; ++end) depth += *end == '{' ? 1 : *end == '}' ? -1 : 0;
        const std::string body = without_scopes(std::string(begin, end - 1));
        for (size_t at = 0; at < body.size();) {
            const size_t semicolon = std::min(body.find(';', at), body.size());
            add_statement(entry, trimmed(body.substr(at, semicolon - at)));
            at = semicolon + 1;
        }
        begin = end;
        entries.push_back(std::move(entry));
    }
    return entries;
}

}  // namespace lqf::ptx
