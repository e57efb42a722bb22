// Attacks by a compiled program, one a run: the name is read, "through" is printed where the attack succeeded.
#include <arpa/inet.h>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <map>
#include <pthread.h>
#include <sched.h>
#include <string>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

typedef bool (*Attack)();

static bool readable(const char *path) { return open(path, O_RDONLY) >= 0; }
static bool writable(const char *path) { return open(path, O_WRONLY | O_CREAT, 0600) >= 0; }
static bool has_entries(const char *path) {
  DIR *directory = opendir(path);
  int count = 0;
  while (directory && readdir(directory)) count++;
  return count > 2;
}

static bool read_passwords() { return readable("/etc/shadow") || readable("/etc/passwd"); }
static bool read_root() { return has_entries("/root") || has_entries("/home"); }
static bool see_processes() { return readable("/proc/self/status") || has_entries("/proc"); }
static bool write_system() { return writable("/usr/bin/planted") || writable("/lib/planted") || writable("/planted"); }
static bool climb_out() { return chdir("../../../../..") == 0 && has_entries("etc/ssh"); }
static bool leave_chroot() {
  mkdir("deep", 0700);
  return chroot("deep") == 0 && chdir("../../../..") == 0 && readable("etc/passwd");
}
static bool open_socket() { return socket(AF_INET, SOCK_STREAM, 0) >= 0 || socket(AF_INET6, SOCK_DGRAM, 0) >= 0; }
static bool open_raw_socket() { return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0 || socket(AF_PACKET, SOCK_RAW, 0) >= 0; }
static bool open_netlink() { return socket(AF_NETLINK, SOCK_RAW, 0) >= 0; }
static bool open_vsock() { return socket(40, SOCK_STREAM, 0) >= 0; }
static bool connect_unix() {
  int channel = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  strcpy(address.sun_path, "/run/docker.sock");
  return channel >= 0 && connect(channel, (sockaddr *)&address, sizeof address) == 0;
}
static bool fork_process() { return fork() >= 0; }
static bool vfork_process() {
  pid_t child = vfork();
  if (child == 0) _exit(0);
  return child > 0;
}
static bool raw_clone() { return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) >= 0; }
static bool raw_clone3() {
  unsigned long long arguments[11] = {};
  arguments[4] = SIGCHLD;
  return syscall(435, arguments, sizeof arguments) >= 0;
}
static bool run_shell() { return system("true") == 0; }
static bool trace_parent() { return ptrace(PTRACE_ATTACH, getppid(), 0, 0) == 0 || ptrace(PTRACE_SEIZE, getppid(), 0, 0) == 0; }
static bool trace_itself() { return ptrace(PTRACE_TRACEME, 0, 0, 0) == 0; }
static bool signal_all() { return kill(-1, 0) == 0; }
static bool signal_others() {
  for (int pid = 2; pid < 5000; pid++)
    if (pid != getpid() && kill(pid, 0) == 0) return true;
  return false;
}
static bool signal_parent() { return getppid() > 0 && kill(getppid(), SIGTERM) == 0; }
static bool become_root() { return setuid(0) == 0 || setresuid(0, 0, 0) == 0 || setgid(0) == 0; }
static bool new_namespaces() { return unshare(CLONE_NEWUSER) == 0 || unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWNET) == 0; }
static bool mount_something() { return mount("none", "/tmp", "tmpfs", 0, "") == 0 || umount("/tmp") == 0; }
static bool make_device() { return mknod("disk", S_IFBLK | 0600, (8 << 8) | 0) == 0; }
static bool anonymous_file() { return syscall(SYS_memfd_create, "hidden", 0) >= 0; }
static bool shared_segment() { return shmget(0, 64 << 20, 0600 | IPC_CREAT) >= 0; }
static bool io_ring() { char parameters[256] = {}; return syscall(425, 4, parameters) >= 0; }
static bool berkeley_filter() { char attributes[128] = {}; return syscall(321, 0, attributes, sizeof attributes) >= 0; }
static bool performance_event() { char attributes[128] = {}; return syscall(298, attributes, 0, -1, -1, 0) >= 0; }
static bool fault_handler() { return syscall(323, 0) >= 0; }
static bool kernel_keys() { return syscall(248, "user", "name", "payload", 7, -3) >= 0; }
static bool kernel_log() { char text[64]; return syscall(SYS_syslog, 3, text, sizeof text) >= 0; }
static bool other_memory() {
  char byte;
  struct { void *base; size_t length; } here = {&byte, 1}, there = {(void *)0x400000, 1};
  return syscall(310, getppid(), &here, 1, &there, 1, 0) == 1;
}
static bool take_descriptor() { int process = syscall(434, getppid(), 0); return process >= 0; }
static bool host_name() { return sethostname("owned", 5) == 0; }
static bool raise_limits() {
  rlimit most = {RLIM_INFINITY, RLIM_INFINITY};
  return setrlimit(RLIMIT_CPU, &most) == 0 || setrlimit(RLIMIT_FSIZE, &most) == 0 || setrlimit(RLIMIT_NPROC, &most) == 0;
}
static bool speak_for_the_sandbox() {  // on whatever descriptor the verdict might travel
  bool any = false;
  for (int number = 3; number < 64; number++)
    if (write(number, "{\"passed\": 1}\n", 14) > 0) any = true;
  return any;
}
static bool read_descriptors() {
  char text[64];
  bool any = false;
  for (int number = 3; number < 64; number++)
    if (pread(number, text, sizeof text, 0) > 0) any = true;
  return any;
}
static bool rewrite_input() { return pwrite(0, "x", 1, 0) == 1 || ftruncate(0, 0) == 0; }
static bool meet_the_last_program() { return access("left_behind", F_OK) == 0 || access("/dev/shm/left_behind", F_OK) == 0; }
static bool leave_something() {
  fclose(fopen("left_behind", "w"));
  mkdir("locked", 0);
  writable("/dev/shm/left_behind");  // which is the program's own: the next one must not meet it
  return writable("/var/tmp/left_behind");
}
static bool hidden_memory() {  // more than the limit, piece by piece
  for (int piece = 0; piece < 64; piece++) {
    void *memory = mmap(nullptr, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return false;
    memset(memory, 1, 16 << 20);
  }
  return true;
}
static bool shared_memory() {
  void *memory = mmap(nullptr, 1 << 30, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  memset(memory, 1, 1 << 30);
  return true;
}
static bool many_threads() {
  for (int count = 0; count < 1000; count++) {
    pthread_t thread;
    if (pthread_create(&thread, nullptr, [](void *) -> void * { pause(); return nullptr; }, nullptr) != 0) return false;
  }
  return true;
}
static bool fill_the_disk() {
  static char piece[1 << 20];
  for (int number = 0; number < 64; number++) {
    int file = open(("file" + std::to_string(number)).c_str(), O_WRONLY | O_CREAT, 0600);
    for (int count = 0; count < 16; count++)
      if (write(file, piece, sizeof piece) != sizeof piece) return false;
  }
  return true;
}
static bool many_descriptors() {
  for (int count = 0; count < 5000; count++)
    if (open("/dev/null", O_RDONLY) < 0) return false;
  return true;
}
static bool never_end() {
  for (int number = 1; number < 32; number++) signal(number, SIG_IGN);
  for (;;) {
  }
}
static bool sleep_for_long() { sleep(1000); return true; }
static bool flood() {
  static char text[1 << 16];
  memset(text, 'x', sizeof text);
  for (;;) fwrite(text, 1, sizeof text, stdout);
}
static bool end_early() { _exit(0); }
static bool die() { abort(); }
static bool old_calls() {  // the 32-bit entry of the kernel, whose numbers mean something else: getpid is 20 there
  long result;
  asm volatile("int $0x80" : "=a"(result) : "a"(20));
  return result > 0;
}

int main() {
  std::map<std::string, Attack> attacks = {
#define ATTACK(name) {#name, name}
      ATTACK(read_passwords), ATTACK(read_root), ATTACK(see_processes), ATTACK(write_system), ATTACK(climb_out),
      ATTACK(leave_chroot), ATTACK(open_socket), ATTACK(open_raw_socket), ATTACK(open_netlink), ATTACK(open_vsock),
      ATTACK(connect_unix), ATTACK(fork_process), ATTACK(vfork_process), ATTACK(raw_clone), ATTACK(raw_clone3),
      ATTACK(run_shell), ATTACK(trace_parent), ATTACK(trace_itself), ATTACK(signal_all), ATTACK(signal_others),
      ATTACK(signal_parent), ATTACK(become_root), ATTACK(new_namespaces), ATTACK(mount_something), ATTACK(make_device),
      ATTACK(anonymous_file), ATTACK(shared_segment), ATTACK(io_ring), ATTACK(berkeley_filter),
      ATTACK(performance_event), ATTACK(fault_handler), ATTACK(kernel_keys), ATTACK(kernel_log), ATTACK(other_memory),
      ATTACK(take_descriptor), ATTACK(host_name), ATTACK(raise_limits), ATTACK(speak_for_the_sandbox),
      ATTACK(read_descriptors), ATTACK(rewrite_input), ATTACK(leave_something), ATTACK(meet_the_last_program),
      ATTACK(hidden_memory), ATTACK(shared_memory), ATTACK(many_threads), ATTACK(fill_the_disk),
      ATTACK(many_descriptors), ATTACK(never_end), ATTACK(sleep_for_long), ATTACK(flood), ATTACK(end_early), ATTACK(die),
      ATTACK(old_calls),
  };
  char name[64] = {};
  if (scanf("%63s", name) != 1) return 2;
  if (!strcmp(name, "list")) {
    for (auto &attack : attacks) puts(attack.first.c_str());
    return 0;
  }
  if (!strcmp(name, "honest")) {
    puts("through");
    return 0;
  }
  bool through = attacks.at(name)();
  puts(through ? "through" : "held");
  return 0;
}
