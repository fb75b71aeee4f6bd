// SPDX-License-Identifier: Apache-2.0
//
// vmlinux_test.cpp - vmlinux/vmlinux.h against the running kernel: every structure it declares, and every field in it,
// is in the kernel's BTF with the same kind and size. What other kernels have and this one has not is listed in
// vmlinux/README.md under "Optional". Needs no root.
#include <bpf/btf.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <regex>
#include <set>
#include <string>

namespace kflight::test {
namespace {

struct BtfDeleter {
  void operator()(btf* types) const { btf__free(types); }
};
using Btf = std::unique_ptr<btf, BtfDeleter>;

Btf parse_btf(const char* path) {
  Btf types(btf__parse(path, nullptr));
  EXPECT_NE(types, nullptr) << "reading the BTF of " << path << ": " << std::strerror(errno);
  return types;
}

std::string without_flavour(const std::string& name) { return name.substr(0, name.find("___")); }

// A type as a kind and a size or a name: what has to be alike on both sides.
struct Shape {
  std::string kind;
  std::string detail;
  bool operator==(const Shape&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << shape.kind << " " << shape.detail; }

class Types {
 public:
  explicit Types(const btf* types) : types_(types) {}

  const btf_type* type(unsigned id) const { return btf__type_by_id(types_, id); }
  std::string name(unsigned offset) const { return btf__name_by_offset(types_, offset); }

  unsigned without_qualifiers(unsigned id) const {
    for (;;) {
      const btf_type* t = type(id);
      const bool wraps =
          btf_is_typedef(t) || btf_is_const(t) || btf_is_volatile(t) || btf_is_restrict(t) || btf_is_type_tag(t);
      if (!wraps) return id;
      id = t->type;
    }
  }

  Shape shape(unsigned id) const {
    id = without_qualifiers(id);
    const btf_type* t = type(id);
    if (btf_is_int(t) || btf_is_any_enum(t)) return {"integer", std::to_string(btf__resolve_size(types_, id))};
    if (btf_is_ptr(t)) return {"pointer", pointee(t->type)};
    if (btf_is_composite(t)) return {btf_is_union(t) ? "union" : "struct", without_flavour(name(t->name_off))};
    if (btf_is_fwd(t)) return {"struct", name(t->name_off)};
    if (btf_is_array(t)) {
      const Shape element = shape(btf_array(t)->type);
      return {"array of " + element.kind, element.detail + " x " + std::to_string(btf_array(t)->nelems)};
    }
    return {"kind " + std::to_string(btf_kind(t)), ""};
  }

  // 0 when there is none.
  unsigned find_struct(const std::string& wanted) const {
    const int id = btf__find_by_name_kind(types_, wanted.c_str(), BTF_KIND_STRUCT);
    return id > 0 ? static_cast<unsigned>(id) : 0;
  }

  // Calls visit(member, bits) for each named member, those of anonymous structures and unions inside included; bits is
  // 0 unless it is a bit-field. Stops when visit returns true.
  template <class Visit>
  bool any_member(unsigned id, const Visit& visit) const {
    const btf_type* t = type(id);
    for (unsigned i = 0; i < btf_vlen(t); ++i) {
      const btf_member& member = btf_members(t)[i];
      const unsigned inner = without_qualifiers(member.type);
      const bool anonymous = member.name_off == 0 && btf_is_composite(type(inner));
      if (anonymous ? any_member(inner, visit) : visit(member, btf_member_bitfield_size(t, i))) return true;
    }
    return false;
  }

  unsigned count() const { return btf__type_cnt(types_); }

 private:
  // Code pointers and data pointers differ; of a pointer to a structure its name matters, of others only that.
  std::string pointee(unsigned id) const {
    if (id == 0) return "to anything";
    const btf_type* t = type(without_qualifiers(id));
    if (btf_is_composite(t) || btf_is_fwd(t)) return "to " + without_flavour(name(t->name_off));
    return btf_is_func_proto(t) ? "to code" : "to anything";
  }

  const btf* types_;
};

// The backquoted names of the list items below the heading "Optional".
std::set<std::string> optional_names() {
  std::ifstream readme(KF_VMLINUX_DIR "/README.md");
  EXPECT_TRUE(readme) << KF_VMLINUX_DIR "/README.md is missing";
  std::set<std::string> names;
  bool listed = false;
  std::smatch item;
  for (std::string line; std::getline(readme, line);) {
    if (line.starts_with("#")) listed = line.find("Optional") != std::string::npos;
    if (listed && std::regex_search(line, item, std::regex("^- `([^`]+)`"))) names.insert(item[1]);
  }
  return names;
}

class Comparison {
 public:
  Comparison(const Types& ours, const Types& kernel) : ours_(ours), kernel_(kernel), optional_(optional_names()) {}

  void compare_struct(unsigned id) {
    const std::string name = without_flavour(ours_.name(ours_.type(id)->name_off));
    const unsigned counterpart = kernel_.find_struct(name);
    ++structs_;
    if (counterpart == 0) {
      EXPECT_TRUE(optional_.contains(name)) << "this kernel has no struct " << name;
      return;
    }
    ours_.any_member(id, [&](const btf_member& member, unsigned bits) {
      compare_member(name, counterpart, member, bits);
      return false;
    });
  }

  unsigned structs() const { return structs_; }
  unsigned fields() const { return fields_; }

 private:
  void compare_member(const std::string& structure, unsigned counterpart, const btf_member& ours, unsigned our_bits) {
    const std::string name = ours_.name(ours.name_off);
    const std::string full_name = structure + "." + name;
    ++fields_;
    const bool found = kernel_.any_member(counterpart, [&](const btf_member& theirs, unsigned their_bits) {
      if (kernel_.name(theirs.name_off) != name) return false;
      EXPECT_EQ(ours_.shape(ours.type), kernel_.shape(theirs.type)) << full_name;
      EXPECT_EQ(our_bits, their_bits) << full_name;
      return true;
    });
    EXPECT_TRUE(found || optional_.contains(full_name)) << "this kernel has no " << full_name;
  }

  const Types& ours_;
  const Types& kernel_;
  const std::set<std::string> optional_;
  unsigned structs_ = 0, fields_ = 0;
};

TEST(Vmlinux, EveryTypeIsInTheRunningKernel) {
  const Btf ours = parse_btf(KF_EVERY_TYPE_OBJECT);
  const Btf kernel = parse_btf("/sys/kernel/btf/vmlinux");
  ASSERT_TRUE(ours && kernel);
  const Types our_types(ours.get()), kernel_types(kernel.get());
  Comparison comparison(our_types, kernel_types);
  for (unsigned id = 1; id < our_types.count(); ++id) {
    const btf_type* t = our_types.type(id);
    if (btf_is_struct(t) && t->name_off != 0) comparison.compare_struct(id);
  }
  EXPECT_GT(comparison.structs(), 10u);
  EXPECT_GT(comparison.fields(), 30u);
}

// Enumerators are numbers in the header, not relocated: they must be the kernel's.
TEST(Vmlinux, EveryEnumeratorHasTheKernelsValue) {
  const Btf kernel = parse_btf("/sys/kernel/btf/vmlinux");
  ASSERT_TRUE(kernel);
  const Types types(kernel.get());
  std::map<std::string, long> values;
  for (unsigned id = 1; id < types.count(); ++id) {
    const btf_type* t = types.type(id);
    if (!btf_is_enum(t)) continue;
    for (unsigned i = 0; i < btf_vlen(t); ++i) values[types.name(btf_enum(t)[i].name_off)] = btf_enum(t)[i].val;
  }

  std::ifstream header(KF_VMLINUX_DIR "/vmlinux.h");
  const std::regex enumerator(R"(\b([A-Z][A-Z0-9_]+) = (\d+))");
  unsigned compared = 0;
  for (std::string line; std::getline(header, line);) {
    for (std::sregex_iterator it(line.begin(), line.end(), enumerator), end; it != end; ++it, ++compared) {
      const auto found = values.find((*it)[1]);
      ASSERT_NE(found, values.end()) << (*it)[1] << " is no enumerator of this kernel";
      EXPECT_EQ(found->second, std::stol((*it)[2])) << (*it)[1];
    }
  }
  EXPECT_GT(compared, 5u);
}

}  // namespace
}  // namespace kflight::test
