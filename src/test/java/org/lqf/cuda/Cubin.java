package org.lqf.cuda;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * The kernels of a cubin, read without any tool of NVIDIA's: an ELF64 file with one {@code
 * .text.NAME} section a kernel and its needs in {@code .nv.info}.
 *
 * <p>An instruction of sm_75 and newer is 16 bytes: the opcode in bits 0 to 8, its predicate in
 * bits 12 to 15 (15: never, as ptxas pads with), the width of a memory access in bits 73 to 75, the
 * distance of a branch from bit 34 on. The opcodes were found by comparing with nvdisasm's listing,
 * distances by the branch to itself that ends every kernel.
 */
final class Cubin {

  private static final int BRANCH = 0x147;

  /** Name of an opcode; several opcodes are forms of one instruction. */
  private static final Map<Integer, String> OPCODES =
      Map.ofEntries(
          Map.entry(0x023, "FFMA"),
          Map.entry(0x02b, "DFMA"),
          Map.entry(0x03c, "HMMA"),
          Map.entry(0x03b, "LDSM"),
          Map.entry(0x181, "LDG"),
          Map.entry(0x186, "STG"),
          Map.entry(0x184, "LDS"),
          Map.entry(0x188, "STS"),
          Map.entry(0x183, "LDL"),
          Map.entry(0x187, "STL"),
          Map.entry(0x1ae, "LDGSTS"),
          Map.entry(0x180, "LD"),
          Map.entry(0x185, "ST"),
          Map.entry(0x11d, "BAR"),
          Map.entry(0x189, "SHFL"),
          Map.entry(0x18e, "RED"),
          Map.entry(0x1a6, "RED"),
          Map.entry(0x1a8, "ATOMG"),
          Map.entry(0x108, "MUFU"),
          Map.entry(0x144, "CALL"),
          Map.entry(BRANCH, "BRA"));

  private static final List<String> WITH_WIDTH =
      List.of("LDG", "STG", "LDS", "STS", "LDL", "STL", "LDGSTS");

  private static final int INSTRUCTION = 16; // bytes
  private static final int OPCODE = 0x1ff;
  private static final int RESERVED =
      1024; // bytes of shared memory that count as static since sm_90
  private static final int NEVER = 15; // the predicate !PT
  private static final int STRING_TABLE = 3; // sh_type
  private static final int ATTRIBUTE_FRAME = 0x11; // bytes of stack
  private static final int ATTRIBUTE_REGISTERS = 0x2f;
  private static final int FORMAT_SIZED = 4;

  /**
   * One kernel.
   *
   * @param name mangled
   * @param architecture compute capability, 80 for sm_80
   * @param registers of a thread
   * @param stack bytes of local memory of a thread; 0 unless registers spill or arrays are indexed
   * @param staticShared bytes of shared memory, beside what a launch asks for
   * @param code all instructions
   * @param loops innermost first
   */
  record Kernel(
      String name,
      int architecture,
      int registers,
      int stack,
      int staticShared,
      Code code,
      List<Loop> loops) {
    int count(String opcode) {
      return code.count(opcode);
    }

    /** Words that go to local memory and back. */
    int spills() {
      return code.counts.entrySet().stream()
          .filter(count -> count.getKey().startsWith("LDL") || count.getKey().startsWith("STL"))
          .mapToInt(Map.Entry::getValue)
          .sum();
    }
  }

  /**
   * A stretch of instructions.
   *
   * @param instructions all of them
   * @param counts of the known ones, memory accesses with their width in bits: {@code LDG.128}
   */
  record Code(int instructions, Map<String, Integer> counts) {
    int count(String opcode) {
      return counts.getOrDefault(opcode, 0);
    }
  }

  /**
   * From the target of a branch backwards to that branch.
   *
   * @param first instruction
   * @param last instruction, the branch
   */
  record Loop(int first, int last, Code code) {
    boolean contains(Loop other) {
      return first <= other.first && other.last <= last && !equals(other);
    }
  }

  private record Section(String name, int type, long offset, long size) {}

  private final ByteBuffer bytes;
  private final List<Section> sections = new ArrayList<>();

  private Cubin(ByteBuffer bytes) {
    this.bytes = bytes.order(ByteOrder.LITTLE_ENDIAN);
  }

  /** The kernels of a file. */
  static List<Kernel> read(Path file) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file));
    if (bytes.remaining() < 64 || bytes.getInt(0) != 0x7f454c46) {
      throw new IOException(file + " is no ELF file; expected a cubin");
    }
    return new Cubin(bytes).kernels();
  }

  private List<Kernel> kernels() {
    readSections();
    Map<String, Integer> stacks = new HashMap<>();
    Map<String, Integer> registers = new HashMap<>();
    readInfo(stacks, registers);
    List<Kernel> kernels = new ArrayList<>();
    for (Section section : sections) {
      if (section.name.startsWith(".text.")) {
        String name = section.name.substring(".text.".length());
        kernels.add(
            new Kernel(
                name,
                architecture(),
                registers.getOrDefault(name, 0),
                stacks.getOrDefault(name, 0),
                staticShared(name),
                code(section, 0, (int) (section.size / INSTRUCTION) - 1),
                loops(section)));
      }
    }
    return kernels;
  }

  private int architecture() {
    return bytes.getInt(0x30) >>> 8 & 0xff; // e_flags
  }

  private int staticShared(String kernel) {
    int bytes =
        sections.stream()
            .filter(s -> s.name.equals(".nv.shared." + kernel))
            .mapToInt(s -> (int) s.size)
            .sum();
    return Math.max(0, bytes - (architecture() >= 90 ? RESERVED : 0));
  }

  private Code code(Section section, int first, int last) {
    Map<String, Integer> counts = new TreeMap<>();
    for (int i = first; i <= last; i++) {
      counts.merge(instruction(section.offset + (long) i * INSTRUCTION), 1, Integer::sum);
    }
    counts.remove("other");
    return new Code(last - first + 1, counts);
  }

  private List<Loop> loops(Section section) {
    List<Loop> loops = new ArrayList<>();
    for (int i = 0; i < section.size / INSTRUCTION; i++) {
      long at = section.offset + (long) i * INSTRUCTION;
      int target = i + 1 + jump(at);
      if (isBranch(at) && target < i && target >= 0) {
        loops.add(new Loop(target, i, code(section, target, i)));
      }
    }
    loops.sort(Comparator.comparingInt(loop -> loop.last - loop.first));
    return loops;
  }

  private boolean isBranch(long at) {
    return (bytes.getLong((int) at) & OPCODE) == BRANCH;
  }

  /** Instructions from the one after the branch to its target. */
  private int jump(long at) {
    long low = bytes.getLong((int) at);
    long distance = low >>> 34 | (bytes.getLong((int) at + 8) & 0x3ffff) << 30;
    distance = distance << 16 >> 16; // 48 bits, signed
    // In words of 4 bytes; from sm_90 on the eight lowest bits stand apart.
    return (int) ((architecture() >= 90 ? distance << 8 | (low >>> 16 & 0xff) : distance) / 4);
  }

  private void readSections() {
    long table = bytes.getLong(0x28);
    int count = bytes.getShort(0x3c);
    int names = bytes.getShort(0x3e);
    long strings = bytes.getLong((int) (table + names * 64L + 24));
    for (int i = 0; i < count; i++) {
      int header = (int) (table + i * 64L);
      sections.add(
          new Section(
              text(strings + bytes.getInt(header)),
              bytes.getInt(header + 4),
              bytes.getLong(header + 24),
              bytes.getLong(header + 32)));
    }
  }

  /** Attributes of kernels: format, attribute, size, then symbol and value. */
  private void readInfo(Map<String, Integer> stacks, Map<String, Integer> registers) {
    Section symbols = section(".symtab");
    Section strings =
        sections.stream()
            .filter(s -> s.type == STRING_TABLE && s.name.equals(".strtab"))
            .findFirst()
            .orElseThrow();
    Section info = section(".nv.info");
    for (long at = info.offset; at < info.offset + info.size; ) {
      int format = bytes.get((int) at) & 0xff;
      int attribute = bytes.get((int) at + 1) & 0xff;
      int size = format == FORMAT_SIZED ? bytes.getShort((int) at + 2) & 0xffff : 0;
      if (format == FORMAT_SIZED && size == 8) {
        long symbol = symbols.offset + 24L * bytes.getInt((int) at + 4);
        String name = text(strings.offset + bytes.getInt((int) symbol));
        int value = bytes.getInt((int) at + 8);
        if (attribute == ATTRIBUTE_FRAME) {
          stacks.put(name, value);
        } else if (attribute == ATTRIBUTE_REGISTERS) {
          registers.put(name, value);
        }
      }
      at += 4 + size;
    }
  }

  private Section section(String name) {
    return sections.stream().filter(s -> s.name.equals(name)).findFirst().orElseThrow();
  }

  private String instruction(long at) {
    long low = bytes.getLong((int) at);
    String name = OPCODES.getOrDefault((int) (low & OPCODE), "other");
    if ((low >>> 12 & 0xf) == NEVER) {
      return "other";
    }
    if (!WITH_WIDTH.contains(name)) {
      return name;
    }
    long high = bytes.getLong((int) at + 8);
    boolean moved = architecture() >= 100 && name.equals("LDGSTS"); // by a bit, since sm_100
    int width = (int) (moved ? 4 + (high >>> 10 & 3) : high >>> 9 & 7);
    return name
        + switch (width) {
          case 4 -> ".32";
          case 5 -> ".64";
          case 6 -> ".128";
          default -> ".8";
        };
  }

  private String text(long offset) {
    int end = (int) offset;
    while (bytes.get(end) != 0) {
      end++;
    }
    byte[] text = new byte[end - (int) offset];
    bytes.get((int) offset, text);
    return new String(text, ISO_8859_1);
  }
}
