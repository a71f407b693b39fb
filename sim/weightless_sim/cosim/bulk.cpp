// Streams frames through a verilated decoder and compares every weight: what the bench does, at the speed of C++.
//
// Started by bulk.py in a folder with its inputs; sizes come as macros (LANES, VALUE_BITS), and the number of the
// register `errors` (ERRORS).  Little-endian files:
//   words    uint32, those of all frames; ends: uint64, the number of words up to each frame's end
//   counts   uint64, the weights of each record; values: their entries, VALUE_BITS each, in record order
//   source, sink   uint8, patterns over cycles, repeated
// Cycle 0 is the first one after reset.  A source offers a word from the first cycle on in which its pattern is true,
// and keeps it; a sink is ready in the cycles in which its pattern is true (model/patterns.py).
// Each line of progress is a cycle, or the register `errors` as a run fails; `result` is JSON.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <type_traits>
#include <vector>

#include "Vtop.h"
#include "verilated.h"

#define PORT(stream, part) top.stream##___05F##part  // as Verilator writes stream__part

using Value = std::conditional_t<VALUE_BITS == 8, uint8_t, uint16_t>;

template <class T>
static std::vector<T> read(const char* name) {
    FILE* file = std::fopen(name, "rb");
    if (!file) {
        std::perror(name);
        std::exit(2);
    }
    std::fseek(file, 0, SEEK_END);
    std::vector<T> found(static_cast<size_t>(std::ftell(file)) / sizeof(T));
    std::rewind(file);
    if (std::fread(found.data(), sizeof(T), found.size(), file) != found.size()) {
        std::perror(name);
        std::exit(2);
    }
    std::fclose(file);
    return found;
}

// 32 bits of a port, whose type depends on its width.
template <class T>
static uint32_t part(const T& port, int k) {
    return k < 2 ? static_cast<uint32_t>(static_cast<uint64_t>(port) >> (32 * k)) : 0;
}
template <std::size_t N>
static uint32_t part(const VlWide<N>& port, int k) {
    return port[k];
}
template <class T>
static bool bit(const T& port, int place) {
    return part(port, place / 32) >> (place % 32) & 1;
}

struct Layer {
    uint64_t first_word = 0, last_word = 0, first_valid = 0, last_beat = 0, n_beats = 0, bubbles = 0;
};

class Run {
  public:
    Run() : top(&context), layers(counts.size()) {}

    int go(uint64_t limit) {
        reset();
        while (n_out < counts.size() || n_frames < ends.size()) {
            if (cycle >= limit || top.error) {
                top.reg_addr = ERRORS;
                top.eval();
                std::printf("errors %u\n", static_cast<unsigned>(top.reg_data));
                std::fprintf(stderr, "%s after %llu cycles: word %zu, record %zu\n",
                             top.error ? "a record is refused" : "no end", static_cast<unsigned long long>(cycle),
                             n_words, n_out);
                return 3;
            }
            step();
            if ((++cycle & 0x3ffff) == 0) {
                std::printf("%llu\n", static_cast<unsigned long long>(cycle));
                std::fflush(stdout);
            }
        }
        write();
        return 0;
    }

  private:
    VerilatedContext context;
    Vtop top;
    const std::vector<uint32_t> words = read<uint32_t>("words");
    const std::vector<uint64_t> ends = read<uint64_t>("ends"), counts = read<uint64_t>("counts");
    const std::vector<Value> values = read<Value>("values");
    const std::vector<uint8_t> source = read<uint8_t>("source"), sink = read<uint8_t>("sink");
    std::vector<Layer> layers;
    uint64_t cycle = 0, n_mismatches = 0, first_mismatch = 0;
    size_t n_words = 0, n_frames = 0, n_out = 0, n_values = 0, done = 0;  // done: weights of the record under way
    bool offers = false;

    void clock() {
        top.clk = 1;
        top.eval();
        top.clk = 0;
        top.eval();
    }

    void reset() {
        top.rst = 1;
        PORT(load, valid) = PORT(weights, ready) = top.reg_write = 0;
        top.clk = 0;
        top.eval();
        for (int k = 0; k < 3; ++k) clock();
        top.rst = 0;
    }

    void step() {
        offers |= n_words < words.size() && source[cycle % source.size()];
        PORT(load, valid) = offers;
        if (offers) PORT(load, payload) = words[n_words] | static_cast<uint64_t>(n_words + 1 == ends[n_frames]) << 32;
        PORT(weights, ready) = sink[cycle % sink.size()];
        top.eval();
        const bool taken = offers && PORT(load, ready);
        if (n_out < counts.size()) watch();
        else if (PORT(weights, valid)) mismatch();  // nothing more may come
        clock();
        if (taken) take();
    }

    void take() {
        const uint64_t begin = n_frames ? ends[n_frames - 1] : 0;
        Layer& layer = layers[n_frames];
        if (n_words == begin) layer.first_word = cycle;
        offers = false;
        if (++n_words == ends[n_frames]) {
            layer.last_word = cycle;
            ++n_frames;
        }
    }

    void watch() {
        Layer& layer = layers[n_out];
        if (!PORT(weights, valid)) {
            layer.bubbles += done != 0;
            return;
        }
        if (!layer.n_beats && !layer.first_valid) layer.first_valid = cycle;
        if (!PORT(weights, ready)) return;
        compare();
        ++layer.n_beats;
        done += LANES;
        if (done >= counts[n_out]) {
            layer.last_beat = cycle;
            n_values += counts[n_out++];
            done = 0;
        }
    }

    void compare() {
        const uint64_t n = counts[n_out];
        for (int lane = 0; lane < LANES; ++lane) {
            const bool there = done + lane < n;
            bool right = bit(PORT(weights, payload), LANES * VALUE_BITS + lane) == there;
            if (there) {
                const int place = lane * VALUE_BITS;
                const auto value = static_cast<Value>(part(PORT(weights, payload), place / 32) >> (place % 32));
                right &= value == values[n_values + done + lane];
            }
            if (!right) mismatch();
        }
        if (bit(PORT(weights, payload), LANES * (VALUE_BITS + 1)) != (done + LANES >= n)) mismatch();
    }

    void mismatch() {
        if (!n_mismatches++) first_mismatch = n_values + done;
    }

    void write() {
        FILE* file = std::fopen("result", "w");
        std::fprintf(file, "{\"n_mismatches\": %llu, \"first_mismatch\": %llu, \"layers\": [",
                     static_cast<unsigned long long>(n_mismatches), static_cast<unsigned long long>(first_mismatch));
        const char* separator = "";
        for (const Layer& l : layers) {
            std::fprintf(file, "%s[%llu, %llu, %llu, %llu, %llu, %llu]", separator,
                         static_cast<unsigned long long>(l.first_word), static_cast<unsigned long long>(l.last_word),
                         static_cast<unsigned long long>(l.first_valid), static_cast<unsigned long long>(l.last_beat),
                         static_cast<unsigned long long>(l.n_beats), static_cast<unsigned long long>(l.bubbles));
            separator = ", ";
        }
        std::fprintf(file, "]}\n");
        if (std::fclose(file)) {
            std::perror("result");
            std::exit(2);
        }
    }
};

int main(int, char** arguments) {
    return Run().go(std::strtoull(arguments[1], nullptr, 10));
}
