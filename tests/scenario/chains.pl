#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# chains.pl TRUTH LOST [DEPTH] -- are the stacks of planted blocks what
# tests/victims/chain.h says they were?
#
# stdin: what unwind.t makes of a recording, a stack a line: allocations,
# bytes, and module and function of each frame from the inside out.  What
# belongs to the system's libraries is left out, and what to no module is
# "[jit]".  A stack ends where the truth has a root; one that was cut at DEPTH
# frames ends in "...".  LOST blocks (losses.stack_table_full) may be missing;
# what is there must be true.
use strict;
use warnings;

my ($file, $lost, $depth) = @ARGV;
$depth ||= 128;
my (%truth, %roots, %seen);

sub names {
    my @names;
    while (my ($module, $function) = splice @_, 0, 2) {
        next if $module =~ m{^/(usr/)?lib};
        $function =~ s/^\(anonymous namespace\):://;
        $function =~ s/\(.*//;
        push @names, $module eq '' ? '[jit]' : $function;
    }
    return @names;
}

open my $in, '<', $file or die "$file: $!\n";
while (<$in>) {
    my ($blocks, $bytes, $chain) = /^(\d+) (\d+) (\S+)$/ or next;
    my @names = split /</, $chain;
    $roots{$names[-1]} = 1;
    @names = (@names[0 .. $depth - 1], '...') if @names > $depth;
    my $sum = $truth{join '<', @names} ||= [0, 0];
    $sum->[0] += $blocks;
    $sum->[1] += $bytes;
}
die "$file has no chains\n" unless %truth;

while (<STDIN>) {
    chomp;
    my ($blocks, $bytes, @frames) = split /\t/;
    my @names = names(@frames);
    next unless @names && $names[0] eq 'plant' && $blocks;
    my $last = 0;
    $last++ while $last < $#names && !$roots{$names[$last]};
    $#names = $last;
    push @names, '...' if @names >= $depth && !$roots{$names[-1]};
    my $sum = $seen{join '<', @names} ||= [0, 0];
    $sum->[0] += $blocks;
    $sum->[1] += $bytes;
}

my ($wrong, @missing) = (0);
for my $chain (sort keys %{{%truth, %seen}}) {
    my ($want, $got) = map { $_->{$chain} || [0, 0] } \%truth, \%seen;
    next if "@$want" eq "@$got";
    my $line = "blocks and bytes @$want, recorded @$got: $chain\n";
    if ($got->[0] < $want->[0] && ($lost -= $want->[0] - $got->[0]) >= 0) {
        push @missing, $line;
    } elsif ($wrong++ < 10) {
        print $line;
    }
}
print "and counted as lost:\n", @missing if $wrong && @missing;
printf "%d of %d chains are wrong\n", $wrong, scalar keys %truth if $wrong;
exit($wrong ? 1 : 0);
