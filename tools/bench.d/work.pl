# Splits, counts, sorts and joins the statements of work.sql: hashes, arrays and strings.
use strict;
use warnings;

my (%seen, %lists);
for my $round (1 .. 3) {
	open my $in, '<', 'work.sql' or die "work.sql: $!";
	while (my $line = <$in>) {
		my @words = split /[(),'; ]+/, $line;
		$seen{$_}++ for @words;
		push @{$lists{substr $words[-2] // '', 0, 2}}, [@words];
	}
	close $in;
}
my $text = join ',', map { "$_=" . scalar @{$lists{$_}} } sort keys %lists;
print scalar(keys %seen), ' ', length($text), "\n";
