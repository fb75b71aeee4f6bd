// SPDX-License-Identifier: Apache-2.0
//
// invariants_of_files.cpp - what the file itself must satisfy, before any event is looked at. The survey has done the
// work; these say it.
#include "analyze/invariants.hpp"
#include "base/units.hpp"

namespace kflight::analyze {

std::unique_ptr<Invariant> file_complete(const DumpSurvey& survey, Tally tally) {
  tally.checked();
  for (const Damage& damage : survey.dump.damage())
    tally.violate({.what = damage.bytes == 0 ? damage.what
                                             : fmt::format("{}, {} at offset {}", damage.what,
                                                           format_bytes(damage.bytes), damage.offset)});
  if (!survey.dump.complete() && survey.dump.damage().empty()) tally.violate({.what = "the trailer is missing"});
  return nullptr;
}

std::unique_ptr<Invariant> chunk_numbers(const DumpSurvey& survey, Tally tally) {
  tally.checked(survey.chunks);
  for (const Evidence& problem : survey.number_problems) tally.violate(problem);
  if (survey.duplicate_chunks > 0)
    tally.violate({.what = fmt::format("{} chunks have the number of another one", survey.duplicate_chunks)});
  tally.remark("events lost to full rings, in holes of the numbering", survey.lost_in_rings);
  tally.remark("nested events lost", survey.lost_nested);
  return nullptr;
}

std::unique_ptr<Invariant> chunk_contents(const DumpSurvey& survey, Tally tally) {
  tally.checked(survey.chunks);
  for (const Evidence& problem : survey.content_problems) tally.violate(problem);
  return nullptr;
}

std::unique_ptr<Invariant> recorder_counts(const DumpSurvey& survey, Tally tally) {
  const DumpMeta& meta = survey.dump.meta();
  if (!survey.dump.complete() || !survey.dump.damage().empty()) {
    tally.not_applicable("the file is damaged, so its parts need not agree");
    return nullptr;
  }
  const auto compare = [&](std::string_view what, std::uint64_t in_file, std::uint64_t by_recorder, bool may_be_less) {
    tally.checked();
    if (in_file == by_recorder || (may_be_less && in_file < by_recorder)) return;
    tally.violate({.what = fmt::format("{}: {} in the file, {} by the recorder's count", what, in_file, by_recorder)});
  };
  compare("events", survey.events, meta.window.events, false);
  compare("chunks", survey.chunks + survey.duplicate_chunks, meta.window.chunks, false);
  // The recorder counts since its start, the file shows what is left of that.
  compare("events lost to full rings", survey.lost_in_rings, meta.losses.ring_events + meta.losses.window, true);
  compare("nested events lost", survey.lost_nested, meta.losses.nested_events, true);
  return nullptr;
}

}  // namespace kflight::analyze
